"""Train five small fixed runs and compare their losses with those that the repository keeps.

    python benchmarks/agreement/reference_losses.py [--device cpu|cuda] [--write] [NAME ...]

The runs are pixel (OHEM on labelled characters), region (with the region head), teacher (words only, labelled again
during training), distilled (against another network's maps) and distributed (pixel in two processes). Their curves are
in reference_losses/NAME.DEVICE.txt, where the first line says on which kind of machine they were written. On that kind
a run has to give the same numbers to the bit on the CPU; elsewhere, and on CUDA, where sums have no fixed order, each
within `TOLERANCE`.

A commit that changes a curve runs this with --write and says why in its message.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from craft.config import dump_config, validate_config
from craft.config_files import deep_merge
from craft.training.loop import train
from craft.training.run_log import describe_environment, read_metrics

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).with_suffix("")
TOLERANCE = 0.002  # relative, on another kind of machine; with other instructions of one processor it was 0.00016
COLUMNS = ("loss", "loss_region", "loss_affinity", "gradient_norm", "region_loss_head", "region_loss_proposals")
SETTINGS: dict[str, Any] = {
    "data": {
        "train": [{"path": str(ROOT / "data/sample/scenes.jsonl"), "format": "jsonl"}],
        "crop_size": 128,
        "workers": 0,
    },
    "augment": {"scale": [0.3, 0.8]},
    # Trained weights and small steps: where Adam starts from noise, it makes a rounded digit into a step of its own.
    "weights": "small-synth",
    "model": {"width": 0.25},
    "ohem": {"min_negatives": 32},
    "optimizer": {"learning_rate": 2e-4, "warmup_steps": 3, "average_decay": 0.9},
    "training": {
        **{"seed": 1, "steps": 10, "batch_size": 2, "precision": "fp32"},
        **{"log_every": 1, "save_every": 100, "pictures_every": 100},
    },
}
WORDS_ONLY = {"train": [{"path": str(ROOT / "data/sample"), "format": "icdar2017"}]}
CHANGES: dict[str, dict[str, Any]] = {
    "pixel": {"optimizer": {"accumulate": 2}},
    "region": {
        "region": {
            **{"enabled": True, "rois_per_image": 16, "pool": [3, 3], "hidden": 16, "weight": 0.5},
            "proposals": {"network": 60, "components": 30, "truth": 30, "grid": 60},
        }
    },
    "teacher": {
        "data": {**WORDS_ONLY, "characters": {"source": "teacher", "refresh": 4, "delay": 2}},
    },
    "distilled": {
        **{"weights": None, "model": {"width": 0.0625}, "ohem": {"rule": "random"}},
        **{"distillation": {"weights": "small-synth", "share": 0.7}, "optimizer": {"learning_rate": 1e-4}},
    },
    "distributed": {"training": {"batch_size": 1}},
}


def run_curve(name: str, folder: Path, *, device: str) -> list[list[float]]:
    """Do a run in a folder, and return a row of COLUMNS per step, as far as the run has them."""
    values = deep_merge(deep_merge(SETTINGS, CHANGES[name]), {"training": {"device": device}})
    config = validate_config(values, where=name)
    if name == "distributed":
        settings = folder.with_suffix(".yaml")
        settings.write_text(dump_config(config), encoding="utf-8")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command += ["-m", "craft", "train", str(settings), "--out", str(folder)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env=environment, capture_output=True, cwd=ROOT)
    else:
        train(config, folder)
    lines = read_metrics(folder / "metrics.jsonl", kind="train")
    return [[line[column] for column in COLUMNS if column in line] for line in lines]


def machine_kind(device: str) -> str:
    """What decides the last digits of a run: processor or GPU, its instructions, and the versions of libraries."""
    facts = describe_environment(torch.device(device))
    chip = facts["gpu"] or f"{facts['processor']} {torch.backends.cpu.get_cpu_capability()}"
    return f"{chip}, {platform.system()} {platform.machine()}, torch {torch.__version__}"


def curve_file(name: str, device: str) -> Path:
    return FOLDER / f"{name}.{device}.txt"


def write_curve(path: Path, rows: list[list[float]], kind: str) -> None:
    lines = [f"# {kind}", "# step " + " ".join(COLUMNS[: len(rows[0])])]
    lines += [" ".join(map(repr, [step, *row])) for step, row in enumerate(rows, 1)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_curve(path: Path) -> tuple[str, list[list[float]]]:
    """The kind of machine on which a curve was written, and its rows."""
    first, _, *lines = path.read_text(encoding="utf-8").splitlines()
    return first.removeprefix("# "), [[float(number) for number in line.split()[1:]] for line in lines]


def largest_difference(rows: list[list[float]], expected: list[list[float]]) -> float:
    """The largest relative difference of two curves; infinite where they have other steps or columns."""
    if [len(row) for row in rows] != [len(row) for row in expected]:
        return float("inf")
    pairs = [pair for row, wanted in zip(rows, expected, strict=True) for pair in zip(row, wanted, strict=True)]
    return max(abs(found - wanted) / abs(wanted) if wanted else abs(found) for found, wanted in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"runs, of {', '.join(CHANGES)} (default all)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--write", action="store_true", help="keep the curves in place of those in the repository")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kind, failed = machine_kind(options.device), False
    for name in options.names or CHANGES:
        if name == "distributed" and options.device == "cuda" and torch.cuda.device_count() < 2:
            print("distributed: needs two GPUs, left out")
            continue
        path = curve_file(name, options.device)
        with tempfile.TemporaryDirectory() as folder:
            rows = run_curve(name, Path(folder) / "run", device=options.device)
        if not path.exists() and not options.write:
            print(f"{name}: no curve is kept for {options.device}; add --write")
        elif path.exists():
            before, expected = read_curve(path)
            difference = largest_difference(rows, expected)
            exact = before == kind and options.device == "cpu"
            failed = failed or difference > (0 if exact else TOLERANCE)
            print(f"{name}: largest relative difference {difference:.3g} from {before}")
        if options.write:
            write_curve(path, rows, kind)
    if failed and not options.write:
        sys.exit("the losses have changed; if they should, run this again with --write and say why in the commit")


if __name__ == "__main__":
    main()
