"""What a command imports is what it needs: torch only for maps, and none of the libraries that other encoders need.

Time is not measured here, which depends on the machine, but what takes it: `experiments/benchmarks/startup.py` does.
"""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image

from tests.relax.test_explanation import explanation

ROOT = Path(__file__).parents[3]
HEAVY = {
    *("numpy", "torch", "torch._dynamo", "torchvision", "timm", "sympy", "scipy", "skimage", "sklearn", "pandas"),
    *("matplotlib", "pyarrow", "faiss", "captum", "transformers", "open_clip", "onnxruntime", "pydicom", "nibabel"),
    *("h5py", "openvino", "triton"),
}
CHEAP = {  # commands, with their exit codes
    "--help": 0,
    "explain --help": 0,
    "audit --help": 0,
    "methods": 0,
    "encoders": 0,
    "explain nowhere.png": 1,
    "explain nowhere.png nowhere-else.dcm#frame=3": 1,
    "pair cat.png nowhere.png": 1,
    "search photos nowhere.png": 1,
    "explain cat.png --encoder resnet": 2,
    "compare cat.png --encoders default,timmm:x": 2,
    "explain cat.png --encoder file:nowhere.pt?arch=resnet18": 2,
    "explain cat.png --encoder file:cat.png": 2,
    "index photos --encoder onnx:nowhere.onnx": 2,
    "explain cat.png --reference nowhere.png": 2,
    "explain cat.png --fill gold": 2,
    "explain cat.png --head nowhere": 2,
    "explain cat.png --within nowhere.png": 2,
    "explain cat.png --direction nowhere.npz#weight&row=3": 2,
    "explain cat.png --trust --neighbours nowhere": 2,
    "explain cat.png --encoder timm:resnet5o": 2,
    "explain cat.png --encoder file:cat.png?arch=torchvision:resnet5o": 2,
    "encoders resnet50": 0,
    "layers timm:resnet5o": 2,
    "inside nowhere.png": 1,
    "index nowhere --out archive": 2,
    "search nowhere cat.png": 2,
    "audit nowhere": 2,
    "diff nowhere": 2,
    "diff photos --encoders default,timmm:x": 2,
    "evaluate nowhere": 2,
    "head train nowhere --out head": 2,
    "influence mixture nowhere cat.png": 2,
    "influence head . nowhere.png": 2,
    "influence head . cat.png --head nowhere": 2,
    "enough nowhere.png": 1,
    "enough cat.png --backgrounds nowhere": 2,
    "promise apply nowhere.json cat.png": 2,
    "influence rules . --metadata nowhere.csv": 2,
    "concepts find nowhere": 2,
    "concepts tcav . --concept nowhere --random .": 2,
    "units filters timm:resnet5o": 2,
    "units exciting default nowhere": 2,
    "units maximise default --embedding-of nowhere.png": 2,
    "metrics": 0,  # the last, since its table imports numpy
}
PROBE = """
import json, sys, relax, pathlib
from encoders import names
from relax.cli.app import run
names.FOLDER = pathlib.Path("names")
heavy, commands, explain = json.loads(sys.argv[1])
def step(action):
    answer = action()
    return answer, sorted(set(heavy) & sys.modules.keys())
found = {"import relax": step(lambda: len(relax.__all__) > 0)}
found |= {command: step(lambda: run(command.split())) for command in commands}
found["load"] = step(lambda: relax.Explanation.load("earlier.npz").importance.shape[0])
found["explain"] = step(lambda: run(explain))
json.dump(found, open("found.json", "w"))
"""


@pytest.fixture(scope="module")
def imports(tmp_path_factory):
    """By command: the exit code, and which of `HEAVY` are imported after it and all before it, in one process."""
    folder = tmp_path_factory.mktemp("imports")
    explanation().save(folder / "earlier.npz")
    Image.new("RGB", (60, 40), "teal").save(folder / "cat.png")
    explain = ["explain", "cat.png", "--masks", "8", "--cells", "3", "--quiet", "--device", "cpu"]
    asked = json.dumps([sorted(HEAVY), list(CHEAP), explain])
    (folder / "names").mkdir()  # the names of networks, as earlier commands left them
    for library in ("timm", "torchvision"):
        names = {"networks": ["resnet50"], "pretrained": ["resnet50"], "earlier": []}
        (folder / "names" / f"{library}-{version(library)}.json").write_text(json.dumps(names))
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", PROBE, asked], cwd=folder, env=surroundings, check=True, capture_output=True)
    return json.loads((folder / "found.json").read_text())


def test_nothing_heavy_is_imported_with_the_package(imports):
    assert imports["import relax"] == [True, []]


@pytest.mark.parametrize("command", CHEAP)
def test_what_needs_no_map_waits_for_nothing(imports, command):
    """Lists, help, and whatever names a file that is not there or an encoder that is none."""
    assert imports[command] == [CHEAP[command], ["numpy"] if command == "metrics" else []]


def test_earlier_maps_are_opened_without_torch(imports):
    height = len(explanation().importance)

    assert imports["load"] == [height, ["numpy"]]


def test_a_map_of_the_bundled_encoder_imports_torch_and_what_draws_it(imports):
    """Torch.unravel_index imports sympy, torchvision its compiler, timm both, scikit-image scipy, counting triton."""
    assert imports["explain"] == [0, ["matplotlib", "numpy", "torch"]]
