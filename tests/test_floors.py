"""Imports go down only, and what needs no network runs where torch cannot be imported."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

PACKAGE = Path(__file__).parent.parent / "craft"
# Files and folders of craft/ by floor. A file imports from lower floors, or from its own folder; inside a folder it
# imports from files that stand above it in the list of the folder's __init__.py.
FLOORS = {
    "geometry": 1,
    "errors": 1,
    "scene": 1,
    "atomic_files": 1,
    "config_files": 1,
    "memory": 1,
    "kernels": 0,
    "ohem": 1,
    "config": 2,
    "settings_reference": 3,
    "installation": 4,
    "targets": 3,
    "models": 3,
    "evaluation": 3,
    "images": 3,
    "decode": 4,
    "datasets": 4,
    "distributed": 4,
    "synth": 5,
    "teacher": 5,
    "region": 5,
    "detection": 6,
    "training": 7,
    "demo": 7,
    "studies": 8,
    "cli": 9,
    "__main__": 10,
}
NEED_TORCH = ("craft.datasets.batch", "craft.datasets.scene_dataset", "craft.datasets.loader")
TORCH_FREE = (
    "craft.geometry",
    "craft.errors",
    "craft.scene",
    "craft.config",
    "craft.config_files",
    "craft.atomic_files",
    "craft.images",
    "craft.datasets",
    "craft.synth",
    "craft.evaluation",
    "craft.models.shipped",
    "craft.decode",
    "craft.teacher.label_files",
    "craft.detection.failures",
    "craft.detection.scene_grid",  # processes that decode start without it
    "craft.cli",
    "craft.settings_reference",
)

# Put before a program so that importing torch fails in it as on a machine without torch.
BLOCK_TORCH = """
import sys

BLOCKED = {"torch", "torchvision", "functorch"}

class TorchBlocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, TorchBlocker())
"""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(parent + ".")


def room_of(name: str) -> str:
    """The file or folder of craft/ that a module is or lies in."""
    return name.split(".")[1]


def floor_of(name: str) -> int:
    assert room_of(name) in FLOORS, f"{name} has no floor; give it one in FLOORS"
    return FLOORS[room_of(name)]


def listed_modules(docstring: str) -> list[str]:
    """The names in the list of files that a folder's docstring holds, in order."""
    return re.findall(r"^ {4}(\w+) {2,}\S", docstring, flags=re.MULTILINE)


def imported_names(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and full name of everything imported, `from a import b` as a.b."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return names


def upward_imports(name: str, source: str, order: list[str]) -> list[str]:
    """Imports of a module from its own or a higher floor, or from a file that stands below it in its folder's list."""
    faults = []
    for line, imported in imported_names(ast.parse(source)):
        if imported.count(".") == 0 or not is_within(imported, "craft") or room_of(imported) == "__version__":
            continue  # another package, or `import craft` for its version
        if room_of(imported) != room_of(name):
            allowed = floor_of(imported) < floor_of(name)
        else:
            parts = imported.split(".")
            own = name.split(".")
            allowed = len(own) > 2 and len(parts) > 2 and own[2] in order and parts[2] in order[: order.index(own[2])]
        if not allowed:
            faults.append(f"{name}:{line} imports {imported}")
    return faults


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


FOLDERS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
ORDERS = {
    folder.name: listed_modules(ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))))
    for folder in FOLDERS
}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_folder_lists_its_files_once(folder):
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}

    assert sorted(ORDERS[folder.name]) == sorted(files)


def test_every_file_imports_from_lower_floors_or_from_files_above_it_in_its_folder():
    faults = []
    for path in MODULES:
        name = module_name(path)
        if path.name != "__init__.py":
            faults += upward_imports(name, path.read_text(encoding="utf-8"), ORDERS.get(room_of(name), []))

    assert len(MODULES) > 20
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("name", "statement", "fault"),
    [
        ("craft.models.craft", "from craft.models.device import choose_device", True),
        ("craft.models.weights", "from craft.models.craft import CRAFT", False),
        ("craft.models.craft", "from craft.config import Config", False),
        ("craft.config", "from craft.scene import Scene", False),
        ("craft.geometry", "from craft.scene import Scene", True),
        ("craft.evaluation.evaluate", "from craft.datasets.icdar import read", True),
        ("craft.decode.decode", "import craft.region.proposals", True),
        ("craft.detection.detector", "from craft.decode.decode import decode_maps", False),
        ("craft.teacher.labeller", "def run():\n    from craft.studies.compare import compare", True),
        ("craft.cli.command", "from craft.studies.compare import compare", False),
        ("craft.training.loop", "import craft\nimport torch", False),
    ],
)
def test_the_floors_tell_upward_imports_from_others(name, statement, fault):
    order = {"models": ["device", "craft", "weights"], "decode": ["decode"]}.get(room_of(name), [])
    if (name, fault) == ("craft.models.craft", True):
        order = ["craft", "device", "weights"]

    assert bool(upward_imports(name, statement, order)) == fault


def test_only_the_loader_imports_torch_among_the_parts_that_need_no_network():
    faults = []
    for path in MODULES:
        name = module_name(path)
        if name in NEED_TORCH or not any(is_within(name, start) for start in TORCH_FREE):
            continue
        for line, imported in imported_names(ast.parse(path.read_text(encoding="utf-8"))):
            if is_within(imported, "torch") or is_within(imported, "torchvision"):
                faults.append(f"{name}:{line} imports {imported}")

    assert not faults, "\n".join(faults)


def run_without_torch(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run(
        [sys.executable, "-c", BLOCK_TORCH + program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_craft(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return run_without_torch(f"from craft.cli.command import main\nsys.exit(main({arguments!r}))", folder)


def test_the_blocker_blocks(tmp_path):
    assert "No module named 'torch'" in run_without_torch("import torch", tmp_path).stderr


def test_readers_and_evaluation_import_where_torch_cannot_be(tmp_path):
    names = [module_name(path) for path in MODULES]
    free = [name for name in names if name not in NEED_TORCH and any(is_within(name, start) for start in TORCH_FREE)]

    result = run_without_torch("import craft\n" + "\n".join(f"import {name}" for name in free), tmp_path)

    assert result.returncode == 0, result.stderr


@pytest.fixture
def labelled_folder(tmp_path):
    """One picture with one word and one don't-care word in the ICDAR2015 layout, and one right detection."""
    images, labels = tmp_path / "set/ch4_training_images", tmp_path / "set/ch4_training_localization_transcription_gt"
    found = tmp_path / "found"
    for folder in (images, labels, found):
        folder.mkdir(parents=True)
    cv2.imwrite(str(images / "img_1.jpg"), np.full((60, 100, 3), 200, dtype=np.uint8))
    (labels / "gt_img_1.txt").write_text(
        "10,10,60,10,60,30,10,30,word\n10,40,60,40,60,50,10,50,###\n", encoding="utf-8"
    )
    (found / "res_img_1.txt").write_text("10,10,60,10,60,30,10,30\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("verb", [[], ["check"], ["evaluate"], ["train"], ["bench"], ["pack"], ["detect"]])
def test_help_is_printed_without_torch(tmp_path, verb):
    result = run_craft([*verb, "--help"], tmp_path)

    assert result.returncode == 0, result.stderr
    assert "usage: craft" in result.stdout


def test_check_runs_without_torch(labelled_folder):
    result = run_craft(["check", "set"], labelled_folder)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1" in result.stdout


def test_evaluate_runs_without_torch(labelled_folder):
    arguments = ["evaluate", "--detections", "found", "--truth", "set", "--protocol", "icdar2015", "--json"]

    result = run_craft(arguments, labelled_folder)

    assert result.returncode == 0, result.stdout + result.stderr
    assert '"num_matched": 1' in result.stdout


# Stands in for onnxruntime: every file is a network that calls everything text.
ONNXRUNTIME = """
import numpy as np

class SessionOptions:
    pass

class InferenceSession:
    custom_metadata_map = {"craft": '{"detection": {"sizing": "scale", "magnify": 1.0, "tile": 640}}'}

    def __init__(self, path, options, providers):
        self.name = "images"

    def get_inputs(self):
        return [self]

    def get_modelmeta(self):
        return self

    def run(self, outputs, inputs):
        batch, height, width, _ = inputs["images"].shape
        return [np.ones((batch, 2, height // 2, width // 2), np.float32)]
"""


def test_detect_runs_an_exported_network_without_torch_and_numba(tmp_path):
    (tmp_path / "onnxruntime.py").write_text(ONNXRUNTIME, encoding="utf-8")
    (tmp_path / "small.onnx").write_bytes(b"network")
    for name, width in (("photo", 96), ("strip", 1300)):  # the strip is read in tiles
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((64, width, 3), 99, np.uint8))
    images = ["photo.png", "strip.png"]

    arguments = ["detect", *images, "--weights", "small.onnx", "--polygons", "--characters"]
    block = "BLOCKED |= {'numba', 'llvmlite', 'safetensors', 'albumentations', 'matplotlib', 'regex', 'uharfbuzz'}\n"

    found = run_without_torch(f"{block}from craft.cli.command import main\nsys.exit(main({arguments!r}))", tmp_path)
    weights = run_craft(["detect", *images], tmp_path)

    assert found.returncode == 0, found.stderr
    assert "photo.png: 1 words" in found.stdout
    assert "strip.png: 1 words" in found.stdout
    assert weights.returncode == 2
    assert "install torch, or give a network exported to .onnx" in weights.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["export", "small", "a.onnx"], ["convert", "small", "a.pth"], ["watch", "a"]])
def test_a_verb_that_needs_torch_says_so_in_one_line(tmp_path, arguments):
    result = run_craft(arguments, tmp_path)

    said = f"craft {arguments[0]}: needs torch, which is not installed; pip install torch"
    assert (result.returncode, result.stderr.splitlines()) == (2, [said])
