"""Show that two checkouts compute the same, to the bit: run one probe with each, compare, exit 1 on any difference.

    python benchmarks/agreement/refactor.py --old CHECKOUT --new CHECKOUT [--real ICDAR2015] [--only PART ...] [--cache FOLDER]

Runs on one CPU thread. Inputs (datasets, weights, label files, stopped runs) are written by the old checkout, so that the
new one also has to read them. `--real` is a folder of ICDAR2015 for the boxes on real images; without it that part is
skipped. `--cache` keeps inputs and results of the old checkout, by the content of its sources, for the next comparison.
Each part runs in a process of its own (see refactor_probe.py); relative paths are the same on both sides.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROBE = Path(__file__).with_name("refactor_probe.py")
PARTS = (
    "configs", "targets", "loss", "rois", "split", "decode", "rrc", "generator", "synth", "check", "batches", "pack",
    "convert", "label", "detect", "boxes", "evaluate", "sweep", "images", "quickstart", "variants", "region",
    "samplers", "teacher", "resume", "distributed", "study",
)  # fmt: skip
SHOWN = 6  # differing keys named per part


def main() -> int:
    arguments = parse_arguments()
    parts = arguments.only or PARTS
    with tempfile.TemporaryDirectory() as scratch:
        cache = (arguments.cache or Path(scratch)).resolve()
        inputs = make_inputs(arguments.old, cache, arguments.real)
        rows = []
        for part in parts:
            if part == "boxes" and arguments.real is None:
                rows.append((part, "SKIPPED", "no --real folder"))
            else:
                start = time.perf_counter()
                old = probe(arguments.old, part, inputs, cache, kept=True)
                middle = time.perf_counter()
                new = probe(arguments.new, part, inputs, cache, kept=False)
                state, what = compare(old, new)
                seconds = f"{middle - start:.0f} + {time.perf_counter() - middle:.0f} s"
                rows.append((part, state, what or f"{len(old)} values, {seconds}"))
            print(f"{rows[-1][0]:<12} | {rows[-1][1]:<7} | {rows[-1][2]}", flush=True)
    differing = [part for part, state, _ in rows if state == "DIFFERS"]
    print(f"{len(rows)} parts, {len(differing)} differ" + (": " + ", ".join(differing) if differing else ""))
    return 1 if differing else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True, help="checkout to agree with")
    parser.add_argument("--new", type=Path, required=True, help="checkout under test")
    parser.add_argument("--real", type=Path, help="folder of ICDAR2015, for the boxes on real images")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--cache", type=Path, help="folder for the old checkout's inputs and results")
    return parser.parse_args()


def make_inputs(checkout: Path, cache: Path, real: Path | None) -> Path:
    """Let the old checkout write the inputs of all parts, unless the cache has them."""
    folder = cache / f"inputs-{tree_digest(checkout)}"
    if not (folder / "inputs/done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder))
        run_probe(checkout, "inputs", made, cache)
        (made / "done").touch()
        if not (folder / "inputs/done").exists():
            made.rename(folder / "inputs")
    if real is not None:
        (folder / "real").unlink(missing_ok=True)
        (folder / "real").symlink_to(real.resolve())
    return folder


def probe(checkout: Path, part: str, inputs: Path, cache: Path, *, kept: bool) -> dict[str, Any]:
    """Run a part with a checkout, in a fresh folder with links to the inputs and the checkout, or take it from the cache."""
    result = cache / f"results-{tree_digest(checkout)}" / f"{part}.json"
    if kept and result.exists():
        return json.loads(result.read_text())
    folder = Path(tempfile.mkdtemp(prefix="part"))
    try:
        (folder / "inputs").symlink_to(inputs / "inputs")
        if (inputs / "real").exists():
            (folder / "real").symlink_to((inputs / "real").resolve())
        values = run_probe(checkout, part, folder, cache)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if kept and "failed" not in values:
        result.parent.mkdir(parents=True, exist_ok=True)
        temporary = result.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(values))
        temporary.rename(result)
    return values


def run_probe(checkout: Path, part: str, folder: Path, cache: Path) -> dict[str, Any]:
    (folder / "checkout").symlink_to(checkout.resolve())
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout.resolve()),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        # Numba does not see that a kernel called from another file has changed: compiled code is kept by all sources.
        "NUMBA_CACHE_DIR": str(cache / f"numba-{tree_digest(checkout)}"),
    }
    command = [sys.executable, str(PROBE), part]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        if part == "inputs":
            raise SystemExit(f"inputs cannot be made with {checkout}:\n{done.stderr}")
        return {"failed": f"exit status {done.returncode}: {last}"}
    return json.loads(done.stdout.splitlines()[-1])


def compare(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, str]:
    """Say whether all values are equal, and which are not."""
    failures = [f"{side}: {values['failed']}" for side, values in (("old", old), ("new", new)) if "failed" in values]
    if failures:
        return "DIFFERS", "; ".join(failures)
    missing = object()
    keys = [key for key in {**old, **new} if old.get(key, missing) != new.get(key, missing)]
    if not keys:
        return "equal", ""
    shown = [f"{key} ({old.get(key, 'absent')} -> {new.get(key, 'absent')})" for key in keys[:SHOWN]]
    return "DIFFERS", f"{len(keys)} of {len(old)}: " + ", ".join(shown) + (", ..." if len(keys) > SHOWN else "")


@functools.cache
def tree_digest(checkout: Path) -> str:
    """Content of everything that the probe's results depend on: sources, configurations, sample, and the probe."""
    names = re.compile(r"^NAMES = \{.*?^\}", re.DOTALL | re.MULTILINE)  # a new home of a name changes no result
    digest = hashlib.sha256(names.sub("", PROBE.read_text()).encode())
    for name in ("craft", "configs", "data/sample"):
        for path in sorted((checkout / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
