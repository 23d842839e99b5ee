"""The page of a text works in a browser without network, shows the text as it is, and lets nothing in it run."""

import dataclasses
import json

import pytest
import torch

from encoders.words.loading import load_text_encoder
from relax.report.page import page as report_page
from relax.words.attention import TextAttention
from relax.words.comparing import compare_text_methods
from relax.words.explaining import explain_text
from relax.words.page import similar_report, text_page, write_text_page
from relax.words.question import TextQuestion
from relax.words.similar import similar_texts
from tests.toy_text import MASK, PAD, SumOfWords, toy_tokens

TEXT = "<b>no</b> fever & \"pain\" مرحبا \u202eevil 👍🏽 <script>document.title='broken'</script>"


def toy():
    return load_text_encoder(SumOfWords(), tokenizer=toy_tokens, mask_id=MASK, pad_id=PAD)


def attention(pieces=("[CLS]", "<b>", "no", "fever"), layers=2, heads=3):
    weights = torch.rand(layers, heads, len(pieces), len(pieces), generator=torch.Generator().manual_seed(0))
    weights[1, 2, 3] = torch.tensor([0.0, 0.1, 0.7, 0.2])
    return TextAttention(pieces, (True, False, False, False), weights / weights.sum(-1, keepdim=True))


@pytest.fixture(scope="module")
def explained():
    return explain_text(TEXT, encoder=toy(), similarity="l2", masks=64)


def test_the_page_is_for_everyone_and_shows_the_attention(browser, explained, tmp_path):
    """Words as text, axe content in both themes, nothing wider than a phone, keyboard, values of a head."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    address = write_text_page(tmp_path / "a.html", [explained], attention()).as_uri()
    noises = []
    for scheme, width in (("light", 1200), ("dark", 390)):
        context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": width, "height": 800})
        page = context.new_page()
        page.on("console", lambda message: noises.append(message.text))
        page.on("pageerror", lambda error: noises.append(str(error)))
        page.goto(address)
        page.wait_for_selector("html[data-ready]")

        assert page.title().startswith("Which words make the embedding of “<b>no</b>")
        assert page.locator(".word bdi").first.inner_text() == "<b>"
        assert "\\u202eevil" in page.locator(".said-text").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.select_option("#layer", index=1)
        page.select_option("#head", index=3)
        page.locator(".pieces button").last.focus()
        assert page.locator("#looked").inner_text() == "“fever” looks at “no” 70 %, “fever” 20 %, “<b>” 10 %."
        page.keyboard.press("Home")
        assert page.locator(".pieces [aria-pressed=true]").inner_text() == "[CLS]"
        page.select_option("#layer", value="rollout")
        assert page.locator("#head").is_disabled()
        results = axe.run(page, options={"runOnly": ["wcag2a", "wcag2aa", "best-practice"]})
        assert [
            (violation["id"], violation["nodes"][0]["html"][:200]) for violation in results.response["violations"]
        ] == []
        context.close()
    assert noises == []


def test_the_attention_in_the_page_is_that_of_the_network(explained):
    weights = attention()

    html = text_page([explained], weights)

    data = json.loads(html.split('id="attention-data">')[1].split("</script>")[0])
    assert (data["layers"], data["heads"], data["pieces"]) == (2, 3, ["[CLS]", "<b>", "no", "fever"])
    import base64

    each = torch.frombuffer(bytearray(base64.b64decode(data["each"])), dtype=torch.uint8).view(2, 3, 4, 4) / 255
    torch.testing.assert_close(each, weights.weights, atol=0.5 / 255 + 1e-6, rtol=0)


def test_long_texts_keep_the_means_alone_and_longer_ones_say_so(explained, monkeypatch):
    monkeypatch.setattr("relax.words.page.MOST_WEIGHTS", 10)
    assert '"heads":0' in text_page([explained], attention())

    monkeypatch.setattr("relax.words.page.MOST_SQUARES", 3)
    assert "too many tokens for a page" in text_page([explained], attention())


def test_a_page_of_several_methods_has_their_words_and_areas():
    question = TextQuestion.of("red fox ran home", toy(), similarity="l2")
    comparison = compare_text_methods(question, ["relax", "leave_one_out"], masks=64)

    html = text_page(list(comparison.explanations.values()), None, comparison)

    assert html.count('class="told"') == 2
    assert "Hidden one after the other" in html
    assert "attention-data" not in html


def test_what_was_not_read_is_marked(explained):
    unread = dataclasses.replace(explained, importance=explained.importance * float("nan"))

    assert 'data-level="none"' in text_page([unread])
    assert "The encoder reads nothing of" in text_page([unread])


def test_the_page_of_similar_texts_names_the_nearest():
    result = similar_texts(["red fox", "red foxes", "<i>cat</i>"], encoder=toy())

    html = report_page(similar_report(result))

    assert "&lt;i&gt;cat&lt;/i&gt;" in html
    assert "<i>cat" not in html


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_are_drawn_at_any_width_for_any_text(explained, theme):
    for width in (3, 12):
        figure = explained.plot(theme=theme, width=width)
        assert figure.get_size_inches()[0] == width
        assert len(figure._repr_png_()) > 5000
    with pytest.raises(ValueError, match="width must be from 3 to 40"):
        explained.plot(width=100)
    with pytest.raises(ValueError, match="theme must be one of light, dark"):
        explained.plot(theme="blue")
