"""The arrows between the rooms go one way, and `relax` starts only on its own rooms."""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"relax", "encoders", "masking", "similarity", "experiments", "docs", "tests"}
ALLOWED = {
    "masking": {"masking"},
    "encoders": {"encoders"},
    "similarity": {"similarity"},
    "relax": {"relax", "encoders", "masking", "similarity"},
    "experiments": {"experiments", "relax", "encoders", "masking", "similarity"},
    "docs": {"docs", "relax", "encoders", "masking", "similarity"},
}


def imported_rooms(path):
    """Names of rooms that a file imports, anywhere in it."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports between modules are absolute"
            names = [node.module]
        rooms |= {name.split(".")[0] for name in names}
    return rooms & ROOMS


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_the_arrows_allow(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files

    for path in files:
        extra = imported_rooms(path) - ALLOWED[room]
        assert not extra, f"{path.relative_to(ROOT)} imports {', '.join(sorted(extra))}"


LAYERS = [  # inside relax/, lowest first: a module imports from its own layer and those below
    {
        "rooms",
        "files",
        "box",
        "lock",
        "npz",
        "notes",
        "readahead",
        "records",
        "saved",
        "text",
        "maps",
        "provenance",
        "scale",
        "progress",
        "cluster",
    },
    {
        "baselines.methods",
        "baselines.costs",
        "estimators.defaults",
        "settings",
        "keywords",
        "exports.kinds",
        "bulk.defaults",
        "inside.tables",
    },  # tables and choices, free of torch
    {"plotting"},
    {"report"},
    {
        "io",
        *(
            f"slides.{name}"
            for name in ("defaults", "extra", "slide", "openslides", "tiffs", "opening", "tiles", "store")
        ),
    },  # what reads a slide is what reads its tiles as pictures
    {"estimators"},
    {"explanation", "frame", "hiding", "directions", "references"},
    {"scene", "yardsticks", "crew"},
    {"run", "continuation"},
    {"probing", "baselines", "metrics"},
    {"method"},
    {"explainer", "listing"},
    {"questions", "inside", "enough"},
    {"exports"},
    {"archive"},
    {"bulk"},
    {"loading"},
    {"auditing", "units", "influence", "words"},
    {"links", "differences"},
    {"concepts", "repair"},
    {"slides"},
    {"app", "cli", "__main__"},
]
LAZY = {  # imports inside functions, each for start-up time or an extra that may be missing
    "torch",
    "numpy",
    "faiss",
    "scipy",
    "sklearn",
    "umap",
    "open_clip",
    "tifffile",
    "torchvision",
    "timm",
    "filelock",
    "skimage",
    "pyarrow",
    "matplotlib",
    "rich",
    "ray",
    "fsspec",
    "IPython",
}


def modules(*rooms):
    """Path by dotted name of every module of the rooms."""
    paths = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(path, known):
    """(module, whether inside a function) for each of the known modules that a file imports, types only left out."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else node.module for name in whole]
        yield from ((name, id(node) in inside) for name in names)


def layer_of(module):
    """The number of the layer that a module of relax is in."""
    parts = module.split(".")[1:]
    for depth in range(len(parts), 0, -1):  # a module before its room
        for number, layer in enumerate(LAYERS):
            if ".".join(parts[:depth]) in layer:
                return number
    raise AssertionError(f"{module} is in no layer: put it into LAYERS and docs/architecture.md")


def test_no_modules_import_each_other_in_a_circle_not_even_inside_functions():
    known = modules("relax", "encoders", "masking", "similarity", "experiments")
    graph = {module: {name for name, _ in imports(path, known) if name in known} for module, path in known.items()}

    order = [*TopologicalSorter(graph).static_order()]  # a CycleError names the circle

    assert len(order) == len(known)


def test_the_layers_inside_relax_are_in_order():
    known = modules("relax")

    for module, path in known.items():
        if module == "relax":
            continue
        for name, inside in imports(path, known):
            if name in known and name != "relax" and not (inside and name.startswith("relax.plotting")):
                assert layer_of(name) <= layer_of(module), f"{module} imports {name}, which is above it"


SUB_ROOMS = {  # of relax/io, with those that each may import
    "raster": set(),
    "dicom": set(),
    "volumes": {"dicom"},
    "regions": {"raster", "dicom", "volumes"},
}


@pytest.mark.parametrize("room", SUB_ROOMS)
def test_the_sub_rooms_of_io_import_only_what_the_arrows_allow(room):
    known = modules("relax")
    prefix = f"relax.io.{room}."
    own = {module: path for module, path in known.items() if module.startswith(prefix)}
    assert own

    for module, path in own.items():
        for name, _ in imports(path, known):
            other = name.removeprefix("relax.io.").split(".")[0]
            assert other not in SUB_ROOMS or other in SUB_ROOMS[room] | {room}, f"{module} imports {name}"


def test_imports_inside_functions_are_for_start_up_time_or_for_extras():
    """The command line waits for torch only where it needs it, so its commands may import the library late."""
    known = modules("relax", "encoders", "masking", "similarity")

    for module, path in known.items():
        if module.startswith("relax.cli"):
            continue
        for name, inside in imports(path, known):
            if inside:
                assert name.split(".")[0] in LAZY or (module, name) in LATE, f"{module} imports {name} in a function"


LATE = {
    ("relax.metrics.sanity", "relax.metrics.random_weights"),  # torch
    ("relax.io.regions.within", "relax.io.regions.drawn"),  # the extra [medical]
    ("relax.loading", "relax.bulk.store"),  # torch
    ("relax.method", "relax.baselines"),  # captum and grad-cam
    ("relax.explanation", "relax.plotting.figure"),  # matplotlib
    ("relax.units.pictures", "relax.plotting.units"),
    ("relax.units.pictures", "relax.plotting.drawing"),
    ("relax.explanation", "relax.report.notebook"),
    ("relax.inside.result", "relax.inside.drawing"),  # matplotlib
    ("relax.inside.result", "relax.inside.page"),
    ("relax.explanation", "relax.plotting.convergence"),
    ("relax.concepts.dissection", "relax.concepts.drawing"),  # matplotlib
    ("relax.concepts.dissection", "relax.concepts.files"),
    ("relax.concepts.tcav", "relax.concepts.charts"),
    ("relax.concepts.found", "relax.concepts.found_files"),
    ("relax.concepts.tcav", "relax.concepts.tcav_files"),
    ("relax.differences.result", "relax.differences.page"),  # matplotlib
    ("relax.differences.result", "relax.report.page"),
    ("relax.archive.hits", "relax.plotting.hits"),
    ("relax.archive.hits", "relax.report.hits"),
    ("relax.archive.hits", "relax.report.page"),
    ("relax.influence.answer", "relax.plotting.influence"),  # matplotlib
    ("relax.influence.answer", "relax.report.influence"),
    ("relax.influence.hierarchy.result", "relax.plotting.hierarchy"),
    ("relax.repair.result", "relax.plotting.repair"),  # matplotlib
    ("relax.influence.rules.surrogate", "relax.plotting.rules"),
    ("relax.influence.answer", "relax.report.page"),
    ("relax.explanation", "relax.estimators.convergence"),  # torch
    ("relax.metrics.results", "relax.plotting.evaluation"),
    ("relax.metrics.results", "relax.plotting.drawing"),
    ("relax.io.medical", "relax.io.dicom.frame"),  # the extra [medical]
    ("relax.io.medical", "relax.io.volumes.opening"),
    ("relax.io.gathering", "relax.io.dicom.inventory"),
    ("relax.io.gathering", "relax.io.dicom.dicomdir"),
    ("relax.io.sources", "relax.io.dicom.inventory"),
    ("relax.io.sources", "relax.io.volumes.opening"),
    ("relax.io.choice", "relax.io.dicom.naming"),
    ("relax.words.explanation", "relax.words.drawing"),  # matplotlib
    ("relax.words.explanation", "relax.plotting.drawing"),
    ("relax.words.similar", "relax.words.drawing"),
    ("relax.links.explanation", "relax.links.drawing"),  # matplotlib
    ("relax.links.explanation", "relax.links.page"),
    ("relax.words.similar", "relax.plotting.drawing"),
    ("relax.io.medical", "relax.io.tiles"),  # numpy and Pillow, for which a wrong path need not wait
    ("relax.io.sources", "relax.io.tiles"),
    ("relax.io.tiles", "relax.slides.opening"),  # the extra [pathology]
    ("relax.io.tiles", "relax.slides.store"),
}


def test_a_foreign_room_is_named_with_the_way_out(tmp_path):
    """A project with a masking.py of its own, first on the path."""
    (tmp_path / "masking.py").write_text("")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import relax"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)

    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: relax-explainer needs its own package 'masking', but Python finds ")
    assert "masking.py: rename that file" in last


def test_the_method_itself_is_free_of_the_authors_package():
    for path in ROOT.rglob("*.py"):
        if ".venv" not in path.parts and "tests" not in path.parts and "experiments" not in path.parts:
            assert "relax_xai" not in path.read_text(), path


def test_every_public_name_is_there():
    import relax

    missing = [name for name in relax.__all__ if not hasattr(relax, name)]

    assert not missing


def test_an_unknown_name_lists_the_known_ones():
    import relax

    with pytest.raises(AttributeError, match=r"module 'relax' has no attribute 'explian'; it has .*explain"):
        relax.explian  # noqa: B018


NO_NOUNS = {"one", "found", "made", "there"}
KEPT = {  # results and files have them
    ("relax.auditing.marks", "found"),
    ("relax.auditing.power", "found"),
    ("relax.bulk.shards", "made"),
}


def new_names(tree):
    """Names that a module gives: to variables, fields, arguments, imports, functions and classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name


def test_names_are_nouns_of_what_they_hold():
    known = modules(*ROOMS)

    vague = {
        (module, name)
        for module, path in known.items()
        for name in new_names(ast.parse(path.read_text()))
        if name.strip("_").lower() in NO_NOUNS
    }

    assert vague == KEPT


def test_no_two_files_of_tests_have_one_name():
    """Pytest imports them by name, and collects only the first."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
