"""Every keyword is told once: functions, commands, tables and documentation agree on it, and a wrong one is refused."""

import inspect
import re
import subprocess
import sys

import pytest
import torch

import relax
from encoders import POOLINGS, PRECISIONS, VIEWS
from masking import DESIGNS, FILLS, REGIONS
from relax import keywords
from relax import settings as module
from relax.cli.app import app
from relax.cli.options import COMMAND_LINE_DEFAULTS, OPTIONS, option_name
from relax.keywords import ExplainKeywords
from relax.settings import DEFAULTS, ESTIMATORS, PRESETS, Settings
from similarity import MEASURES
from tests.paths import ROOT

TABLES = {
    "similarity": MEASURES,
    "regions": REGIONS,
    "fill": FILLS,
    "design": DESIGNS,
    "estimator": ESTIMATORS,
    "preset": PRESETS,
    "pooling": POOLINGS,
    "precision": PRECISIONS,
    "view": VIEWS,
}
FUNCTIONS = {
    relax.explain: keywords.ExplainKeywords,
    relax.explaining: keywords.ExplainKeywords,
    relax.probe: keywords.ProbeKeywords,
    relax.compare_methods: keywords.CompareKeywords,
    relax.compare_encoders: keywords.CompareKeywords,
    relax.explain_pair: keywords.PairKeywords,
    relax.explain_links: keywords.LinksKeywords,
    relax.evaluate: keywords.EvaluateKeywords,
    relax.assess: keywords.ExplainKeywords,
    relax.strangers: keywords.MaskingKeywords,
    relax.explain_volume: keywords.ExplainKeywords,
    relax.audit: keywords.AuditKeywords,
    relax.diff_encoders: keywords.AuditKeywords,
}
COMMANDS = {command.name or command.callback.__name__: command.callback for command in app.registered_commands}


def documented(function):
    """The arguments that a docstring explains, with their text."""
    section = inspect.getdoc(function).split("Args:\n")[1].split("\n\n")[0]
    parts = re.split(r"^    (\w+): ", section, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_keywords_are_those_of_the_dataclasses_with_their_types():
    """Four dataclasses hold the defaults, one TypedDict the types; `preset` stands for others, `given` for masks."""
    assert set(ExplainKeywords.__annotations__) == set(DEFAULTS)
    for concern in module.CONCERNS:
        for name, annotation in concern.__annotations__.items():
            if name not in ("given", "masks"):
                assert str(annotation) == str(ExplainKeywords.__annotations__[name].__forward_arg__), name


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_function_shows_its_keywords_with_their_defaults(function):
    others = {"masks": 512} if function in (relax.assess, relax.audit, relax.diff_encoders) else {}
    parameters = inspect.signature(function).parameters

    for name in FUNCTIONS[function].__annotations__:
        assert parameters[name].default == {**DEFAULTS, **others}[name], name


def test_explain_documents_every_keyword_and_every_word_of_its_tables():
    texts = documented(relax.explain)

    assert set(DEFAULTS) <= set(texts)
    for keyword, table in TABLES.items():
        for word in table:
            assert f'"{word}"' in texts[keyword], f"{word} is not in the docstring of {keyword}"


def test_an_option_is_the_keyword_of_its_name_and_helps_with_every_word_of_its_table():
    assert set(OPTIONS) == set(DEFAULTS)
    assert set(COMMAND_LINE_DEFAULTS) == {"precision"}
    for keyword, table in TABLES.items():
        for word in table:
            assert re.search(rf"\b{word}\b", OPTIONS[keyword].help), f"{word} is not in the help of {keyword}"


@pytest.mark.parametrize(
    ("command", "function"),
    [
        ("explain", relax.explain),
        ("compare", relax.compare_methods),
        ("pair", relax.explain_pair),
        ("evaluate", relax.evaluate),
        ("volume", relax.explain_volume),
        ("audit", relax.audit),
        ("diff", relax.diff_encoders),
    ],
)
def test_a_command_takes_the_keywords_of_its_function_with_their_defaults(command, function):
    options = inspect.signature(COMMANDS[command]).parameters
    parameters = inspect.signature(function).parameters
    keywords = set(FUNCTIONS[function].__annotations__)

    missing = keywords - set(options)
    assert missing <= {"evaluate": {"foil", "tolerance"}}.get(command, set())
    for name in keywords & set(options) - set(COMMAND_LINE_DEFAULTS):
        if name in OPTIONS and not (command == "evaluate" and name == "foil"):
            assert options[name].default == parameters[name].default, name


def test_the_readme_names_every_word_of_the_tables_that_change_a_map():
    text = (ROOT / "README.md").read_text()

    for keyword in ("similarity", "regions", "fill", "design", "preset"):
        for word in TABLES[keyword]:
            assert re.search(rf"[`\"]{word}[`\"]", text), f"{keyword} {word} is not in the README"


@pytest.mark.parametrize(
    ("function", "keyword", "message"),
    [
        (relax.explain, "cell", r"explain\(\) has no keyword 'cell': did you mean 'cells'\?"),
        (relax.probe, "similarity", r"probe\(\) has no keyword 'similarity'"),
        (relax.explain_volume, "mask", r"explain_volume\(\) has no keyword 'mask': did you mean 'masks'\?"),
        (relax.assess, "sed", r"assess\(\) has no keyword 'sed': did you mean 'seed'\?"),
    ],
)
def test_an_unknown_keyword_is_refused_with_the_nearest(function, keyword, message):
    with pytest.raises(TypeError, match=message):
        function("cat.png", **{keyword: 1})


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"method": "gradcamm"}, "method must be one of relax, rise, .*; got 'gradcamm': did you mean 'gradcam'?"),
        (
            {"similarity": "cosin"},
            "similarity must be one of cosine, .*; got 'cosin': did you mean 'cosine'?",
        ),
        ({"regions": "grids"}, "regions must be one of grid, .*; got 'grids': did you mean 'grid'?"),
        ({"design": "sobel"}, "design must be one of orthogonal, .*; got 'sobel': did you mean 'sobol'?"),
        ({"estimator": "plane"}, "estimator must be one of .*; got 'plane': did you mean 'plain'?"),
        ({"preset": "papers"}, "preset must be one of paper, paper-rise; got 'papers': did you mean 'paper'?"),
        ({"fill": "blurr"}, "fill must be mean, .*; got 'blurr', which is not a file: did you mean 'blur'?"),
        ({"fill": [0.5, 2, 0]}, r"fill must lie in \[0, 1\], as the image's pixels do; got \[0.5, 2, 0\]"),
        ({"pooling": "clss"}, "pooling must be one of auto, cls, mean; got 'clss': did you mean 'cls'?"),
        ({"precision": "exakt"}, "precision must be one of exact, auto, fast; got 'exakt': did you mean 'exact'?"),
        ({"keep": float("nan")}, "keep is the chance that a cell stays visible"),
        ({"batch_size": 0}, "batch_size must be a whole number, 1 or more"),
        ({"head": "network"}, "head must be what encoders.load_head .* gives; got 'network': load it first"),
        ({"masks": 2.0}, "masks must be a whole number, 2 or more; got 2.0"),
    ],
)
def test_an_impossible_value_is_refused_before_anything_is_loaded(keywords, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        relax.explain("there-is-no-such-file.png", "timm:there_is_no_such_network", **keywords)


def test_a_preset_takes_the_place_of_what_it_stands_for():
    settings = Settings.of({"preset": "paper", "regions": "superpixels", "cells": 5})

    assert (settings.hiding.regions, settings.hiding.design) == ("authors-grid", "independent")
    assert (settings.estimation.estimator, settings.hiding.cells) == ("plain", 5)


def test_masks_may_be_a_number_or_the_masks_themselves():
    given = torch.zeros(5000, 1, 2, 2)

    assert (Settings.of({"masks": 7}).count, Settings.of({}).count, Settings.of({"tolerance": 1}).count) == (
        7,
        3000,
        100_000,
    )
    assert Settings.of({"masks": given}).count == 5000
    assert Settings.of({"masks": given}).hiding.given is given


def test_the_checks_do_not_wait_for_torch():
    code = (
        "import sys; from relax.settings import Settings; from relax.cli.app import run; "
        "Settings.of({'cells': 5}); code = run(['explain', 'cat.png', '--similarity', 'cosin']); "
        "sys.exit(code if 'torch' not in sys.modules else 99)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 2
    assert (
        done.stderr
        == f"relax: --similarity must be one of {', '.join(MEASURES)}; got 'cosin': did you mean 'cosine'?\n"
    )


def test_every_option_has_a_name_of_its_own():
    assert option_name("batch_size") == "--batch-size"
    assert len({option_name(keyword) for keyword in OPTIONS}) == len(OPTIONS)
