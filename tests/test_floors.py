"""Imports go down only, and what needs no network runs where torch cannot be imported."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

PACKAGE = Path(__file__).parent.parent / "craft"
# The longest start of a module's name decides. A file may import from a lower floor, or from its own folder.
FLOORS = {
    "craft.geometry": 0,
    "craft.scene": 0,
    "craft.config": 0,
    "craft.written_settings": -1,
    "craft.whole_files": 0,
    "craft.datasets": 1,
    "craft.targets": 1,
    "craft.models": 1,
    "craft.ohem": 1,
    "craft.evaluation": 1,
    "craft.detection": 1,
    "craft.detection.detector": 2,
    "craft.detection.rescoring": 2,
    "craft.detection.tiling": 2,
    "craft.training.words": 2,
    "craft.training.crops": 2,
    "craft.training.teacher": 2,
    "craft.training.checkpoint": 2,
    "craft.training": 3,
    "craft.detection.export": 3,
    "craft.comparison": 4,
    "craft.verbs": 5,
    "craft.cli": 6,
    "craft.__main__": 7,
}
NEED_TORCH = ("craft.datasets.loader",)
TORCH_FREE = (
    "craft.geometry",
    "craft.scene",
    "craft.config",
    "craft.written_settings",
    "craft.datasets",
    "craft.evaluation",
    "craft.models.shipped",
    "craft.detection.decode",
    "craft.comparison.failures",
    "craft.comparison.grid_jobs",  # processes that decode start without it
    "craft.comparison.scene_grid",
    "craft.verbs",
    "craft.cli",
)

# Put before a program so that importing torch fails in it as on a machine without torch.
BLOCK_TORCH = """
import sys

class TorchBlocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "functorch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, TorchBlocker())
"""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(parent + ".")


def floor_of(name: str) -> int:
    starts = [start for start in FLOORS if is_within(name, start)]
    assert starts, f"{name} has no floor; give it one in FLOORS, as design has it"
    return FLOORS[max(starts, key=len)]


def imported_names(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and full name of everything imported, `from a import b` as a.b."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return names


def upward_imports(name: str, source: str) -> list[str]:
    folder = ".".join(name.split(".")[:2])
    faults = []
    for line, imported in imported_names(ast.parse(source)):
        if imported.count(".") == 0 or not is_within(imported, "craft") or is_within(imported, folder):
            continue  # another package, `import craft` for its version, or the same folder
        if floor_of(imported) >= floor_of(name):
            faults.append(f"{name}:{line} imports {imported}")
    return faults


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_every_file_imports_from_lower_floors_or_its_own_folder_only():
    faults = []
    for path in MODULES:
        faults += upward_imports(module_name(path), path.read_text(encoding="utf-8"))

    assert len(MODULES) > 20
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("name", "statement", "fault"),
    [
        ("craft.models.craft", "from craft.models.device import choose_device", False),
        ("craft.models.craft", "from craft.config import Config", False),
        ("craft.config", "from craft.scene import Scene", True),
        ("craft.evaluation.matching", "from craft.datasets.icdar import read", True),
        ("craft.detection.decode", "import craft.models.craft", True),
        ("craft.detection.detector", "from craft.detection.decode import decode_maps", False),
        ("craft.training.teacher", "def run():\n    from craft.comparison.sweep import sweep", True),
        ("craft.cli", "from craft.comparison.sweep import sweep", False),
        ("craft.training.loop", "import craft\nimport torch", False),
    ],
)
def test_the_floors_tell_upward_imports_from_others(name, statement, fault):
    assert bool(upward_imports(name, statement)) == fault


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
    return run_without_torch(f"from craft.cli import main\nsys.exit(main({arguments!r}))", folder)


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
