"""What the loader costs as a set grows: reading, start, time per batch and memory, for 1,000 to 100,000 scenes.

    python benchmarks/speed/growth.py [--scenes 1000 10000 100000] [--workers 0 2] [--batches 30]

Made are JSON Lines sets that name the same four small pictures again and again, so that only the labels grow. Every
line is measured in a process of its own. First it is checked that the scenes that loader processes hold are those read.
"labels" is what the scenes take as objects in the training process, "packed" what the loader adds to it, "private"
what each loader process has for itself, at first and after up to 2,000 scenes with the end of an epoch among them. The
time of a batch is processor time without loader processes, else as it passes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch

from craft.config import AugmentSettings, DatasetSettings
from craft.datasets.batch import Batch
from craft.datasets.loader import build_loader
from craft.datasets.reading import read_dataset
from craft.datasets.scene_source import PackedScenes
from craft.scene import Scene
from craft.targets.characters import with_characters

WORDS = 10
CROP = 128
BATCH = 8
AUGMENT = AugmentSettings(colour=0, blur=0, noise=0, jpeg=0, grey=0)
COLUMNS = (
    ("scenes", "{:>8,}"),
    ("workers", "{:>7}"),
    ("read s", "{:>7.2f}"),
    ("start s", "{:>7.2f}"),
    ("resume s", "{:>8.2f}"),
    ("ms a batch", "{:>10.2f}"),
    ("labels MB", "{:>9.1f}"),
    ("packed MB", "{:>9.1f}"),
    ("private MB a worker", "{:>19.1f}"),
    ("after epoch MB", "{:>14.1f}"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--batches", type=int, default=30, help="batches timed (default 30)")
    options = parser.parse_args()
    print("  ".join(name.rjust(len(form.format(0))) for name, form in COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        for count in options.scenes:
            path = write_set(Path(folder), count)
            for workers in options.workers:
                with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                    values = process.submit(measure, path, workers, options.batches).result()
                shown = (form.format(values[name]) for name, form in COLUMNS)
                print("  ".join(text.rjust(len(name)) for text, (name, _) in zip(shown, COLUMNS, strict=True)))
                sys.stdout.flush()
            path.unlink()


def write_set(folder: Path, count: int) -> Path:
    """A set of scenes with `WORDS` words each, over four pictures of 320 x 240."""
    generator = np.random.default_rng(0)
    for number in range(4):
        picture = cv2.GaussianBlur(generator.integers(0, 256, (240, 320, 3), dtype=np.uint8), (0, 0), 3)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
    path = folder / f"scenes_{count}.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            corners = generator.integers([0, 0], [280, 220], (WORDS, 2)).tolist()
            words = [{"quad": [[x, y], [x + 40, y], [x + 40, y + 15], [x, y + 15]], "text": "word"} for x, y in corners]
            file.write(json.dumps({"image": f"{number % 4}.jpg", "name": f"img_{number}", "words": words}) + "\n")
    return path


def measure(path: Path, workers: int, num_batches: int) -> dict[str, float]:
    multiprocessing.set_start_method(None, force=True)  # loader processes start as they do in training
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    before = memory("Rss")
    start = time.perf_counter()
    scenes = [with_characters(scene) for scene in read_dataset(DatasetSettings(path=str(path))).scenes]
    values: dict[str, float] = {"scenes": len(scenes), "workers": workers, "read s": time.perf_counter() - start}
    values["labels MB"] = memory("Rss") - before
    check_packing(scenes)

    packed_before = memory("Rss")
    start = time.perf_counter()
    batches = load(scenes, workers, 0)
    next(batches)
    values["start s"] = time.perf_counter() - start
    values["packed MB"] = memory("Rss") - packed_before
    clock = time.perf_counter if workers else time.process_time
    values["ms a batch"] = 1e3 * statistics.median(timed(batches, num_batches, clock))
    values["private MB a worker"] = private_memory()
    del batches

    start = time.perf_counter()
    later = load(scenes, workers, 7 * len(scenes) + len(scenes) // 2)
    next(later)
    values["resume s"] = time.perf_counter() - start
    del later
    # Until all scenes of a worker's epoch have been used, where a set is small enough to wait for.
    ends = load(scenes, workers, max(0, len(scenes) - 2_000))
    for _ in islice(ends, min(len(scenes), 2_000) // BATCH + 2):
        pass
    values["after epoch MB"] = private_memory()
    return values


def load(scenes: list[Scene], workers: int, start_position: int) -> Iterator[Batch]:
    return build_loader(
        [(scenes, 1.0)],
        seed=0,
        crop_size=CROP,
        augment=AUGMENT,
        batch_size=BATCH,
        workers=workers,
        start_position=start_position,
    )


def check_packing(scenes: list[Scene]) -> None:
    packed = PackedScenes(scenes)
    for index in np.random.default_rng(1).integers(len(scenes), size=50):
        for old, new in zip(scenes[index].words, packed[int(index)].words, strict=True):
            assert np.array_equal(old.polygon_xy, new.polygon_xy), "packing changes a word"
            assert np.array_equal(old.character_quads_xy, new.character_quads_xy), "packing changes characters"


def timed(batches: Iterator[Batch], count: int, clock: Callable[[], float]) -> Iterator[float]:
    for _ in range(count):
        start = clock()
        next(batches)
        yield clock() - start


def memory(*kinds: str, process: int | str = "self") -> float:
    """Megabytes of a process, by the names of /proc/PID/smaps_rollup."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in kinds) / 1024


def private_memory() -> float:
    """Mean over the loader processes; 0 where this process loads."""
    own = [memory("Private_Clean", "Private_Dirty", process=child.pid) for child in multiprocessing.active_children()]
    return statistics.mean(own) if own else 0.0


if __name__ == "__main__":
    main()
