"""How long a training crop takes to load, and how many bytes of it go to the device.

    python benchmarks/loader.py FOLDER [--crop 768] [--count 200] [--workers 2]

FOLDER is a labelled set in an official layout, such as ICDAR2015's. First it is checked that loader processes change
no bit of a batch; then a crop is timed as a whole and in parts, in one process with one thread, and the stream of
batches with loader processes. Printed are medians and the distance from the 5th to the 95th percentile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch

from craft.config import AugmentSettings, SetSettings
from craft.datasets.augment import make_sample
from craft.datasets.colours import change_colours
from craft.datasets.images import decode_image
from craft.datasets.loader import Batch, SceneDataset, build_loader
from craft.datasets.reading import read_set
from craft.scene import Scene
from craft.targets.characters import with_characters

STILL = {"colour": 0, "blur": 0, "noise": 0, "jpeg": 0, "grey": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder of a labelled set")
    parser.add_argument("--crop", type=int, default=768, help="side of the crops, pixels (default 768)")
    parser.add_argument("--count", type=int, default=200, help="scenes and crops timed (default 200)")
    parser.add_argument("--workers", type=int, default=2, help="loader processes for the stream (default 2)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)

    scenes = [with_characters(scene) for scene in read_set(SetSettings(path=options.folder)).scenes[: options.count]]
    check_workers(scenes, options.crop)
    time_parts(scenes, options.crop)
    time_stream(scenes, options.crop, options.workers)


def stream(scenes: list[Scene], crop: int, workers: int) -> Iterator[Batch]:
    return build_loader(
        [(scenes, 1.0)],
        seed=0,
        crop_size=crop,
        augment=AugmentSettings(),
        batch_size=8,
        workers=workers,
        start_position=0,
    )


def check_workers(scenes: list[Scene], crop: int) -> None:
    for alone, together in zip(islice(stream(scenes, crop, 0), 3), islice(stream(scenes, crop, 2), 3), strict=True):
        assert torch.equal(alone.images, together.images), "loader processes change pixels"
        assert np.array_equal(alone.character_quads_xy, together.character_quads_xy), "loader processes change quads"
    print("batches of 0 and 2 loader processes are equal to the bit")


def time_parts(scenes: list[Scene], crop: int) -> None:
    settings = AugmentSettings()
    still = settings.model_copy(update=STILL)
    files = [Path(scene.image_path).read_bytes() for scene in scenes]
    images = [decode_image(file) for file in files]
    crops = [
        make_sample(image, scene.words, seed=index, crop_size=crop, settings=still).image
        for index, (image, scene) in enumerate(zip(images, scenes, strict=True))
    ]
    dataset = SceneDataset([(scenes, 1.0)], seed=0, crop_size=crop, augment=settings)
    geometry = SceneDataset([(scenes, 1.0)], seed=0, crop_size=crop, augment=still)
    report("whole crop", lambda index: dataset[0, index], len(scenes))
    report("whole crop without colours", lambda index: geometry[0, index], len(scenes))
    report("decoding", lambda index: decode_image(files[index]), len(scenes))
    report(
        "matrix, warp and quads",
        lambda index: make_sample(images[index], scenes[index].words, seed=index, crop_size=crop, settings=still),
        len(scenes),
    )
    report("colours", lambda index: change_colours(crops[index], index, settings), len(scenes))


def report(name: str, work: Callable[[int], object], count: int) -> None:
    for index in range(min(10, count)):
        work(index)
    seconds = []
    for index in range(count):
        start = time.perf_counter()
        work(index)
        seconds.append(time.perf_counter() - start)
    low, middle, high = 1e3 * np.percentile(seconds, [5, 50, 95])
    print(
        f"{name:28s} median {middle:6.2f} ms, mean {1e3 * np.mean(seconds):6.2f} ms, spread {low:.2f} to {high:.2f} ms"
    )


def time_stream(scenes: list[Scene], crop: int, workers: int) -> None:
    batches = stream(scenes, crop, workers)
    for _ in range(4 * max(1, workers)):
        batch = next(batches)
    start = time.perf_counter()
    count = max(1, len(scenes) // 8)
    for _ in range(count):
        batch = next(batches)
    seconds = time.perf_counter() - start
    print(f"{workers} loader processes: {8 * count / seconds:.1f} crops/s; {batch_bytes(batch) / 8e6:.2f} MB a crop")


def batch_bytes(batch: Batch) -> int:
    arrays = [getattr(batch, name) for name in batch.__dataclass_fields__ if name != "names"]
    return sum(array.nbytes for array in arrays)


if __name__ == "__main__":
    main()
