"""Every line of Python in the README runs, every file it links to is there, and what it names is public."""

import importlib
import re
import shlex

import pytest
import skimage.data
from PIL import Image

import relax
from relax.cli.app import command
from tests.paths import ROOT

README = ROOT / "README.md"


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    """Fewer masks than shown, so that it takes seconds."""
    Image.fromarray(skimage.data.chelsea()).save(tmp_path / "cat.png")
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "dog.png")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 6

    exec("\n".join(blocks).replace("masks=3000", "masks=40"), {})

    assert (tmp_path / "cat.npz").exists()
    assert (tmp_path / "cat.pdf").stat().st_size > 10_000


def test_the_links_of_the_readme_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README.read_text()) if not link.startswith("http")]
    assert len(links) >= 5

    for link in links:
        assert (README.parent / link).exists(), link


def test_what_is_public_is_in_the_readme():
    text = README.read_text()

    missing = [name for name in relax.__all__ if not re.search(rf"relax\.{name}\b", text)]

    assert not missing


@pytest.mark.parametrize("page", sorted([README, *(ROOT / "docs").glob("*.md")]), ids=lambda page: page.name)
def test_what_a_page_names_is_there(page):
    """`relax.NAME` is public, and a dotted path such as `relax.questions.probes` leads to a module or into one."""
    for path in re.findall(r"(?<![\w/-])relax((?:\.[a-zA-Z_]\w*)+)", page.read_text()):
        value = relax
        first, *rest = path.strip(".").split(".")
        if first not in relax.__all__:
            importlib.import_module(f"relax.{first}")
        for name in (first, *rest):
            value = getattr(value, name, None) or importlib.import_module(f"{value.__name__}.{name}")


@pytest.mark.parametrize("page", sorted([README, *(ROOT / "docs").glob("*.md")]), ids=lambda page: page.name)
def test_every_command_line_of_a_page_has_the_options_and_arguments_of_its_command(page):
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("relax "):
                parse(line)


def parse(line):
    """Parse a command line and run nothing; what is missing or unknown is an error of typer's."""
    current, arguments, context = command(), shlex.split(line, comments=True)[1:], None
    name = "relax"
    while True:
        context = current.make_context(name, list(arguments), parent=context)
        if not hasattr(current, "commands"):
            return
        name, current, arguments = current.resolve_command(context, [*context._protected_args, *context.args])


def test_the_sections_of_the_changelog_open_with_numbers_that_change():
    text = (ROOT / "CHANGELOG.md").read_text()

    for release in text.split("\n## ")[1:]:
        assert release.split("\n### ")[1].startswith("Numbers that change\n")
