"""How long a training crop takes to load, whole and by stage, beside the sample of EasyOCR's trainer.

    python benchmarks/speed/loader.py FOLDER [--easyocr trainer/craft] [--crop 768] [--count 48] [--workers 2]

FOLDER is a labelled set in an official layout, such as ICDAR2015's, whose pictures are 1280 x 720. `--easyocr` is the
trainer/craft folder of an EasyOCR checkout; its code needs scikit-image. First it is checked that pixels and quads are
right and that loader processes change no bit of a batch. Then every way of making samples has a batch in turn, in one
process with one thread; printed are medians of processor time per picture, so that other programs matter little.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from timing import time_in_turn

from craft.config import AugmentSettings, DatasetSettings
from craft.datasets.augment import make_sample
from craft.datasets.batch import Batch, collate
from craft.datasets.colours import change_colours, load_transforms
from craft.datasets.crop_matrix import sample_matrix
from craft.datasets.loader import build_loader
from craft.datasets.reading import read_dataset
from craft.datasets.scene_dataset import SceneDataset
from craft.images.reader import decode_image
from craft.memory import keep_freed_memory
from craft.scene import Scene
from craft.targets.characters import with_characters

BATCH = 8
ALL = AugmentSettings()  # what configs/icdar2015.yaml trains with
STILL = {"colour": 0.0, "blur": 0.0, "noise": 0.0, "jpeg": 0.0, "grey": 0.0}
CROP = {"scale": (1.0, 1.0), "rotation": 0.0, "perspective": 0.0, "aspect": 1.0}
WAYS = {
    "crop at its own scale, colour always": ALL.model_copy(update=STILL | CROP | {"colour": 1.0}),
    "scale, rotation, perspective; colour always": ALL.model_copy(update=STILL | {"colour": 1.0}),
    "everything at its probabilities": ALL,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder of a labelled set")
    parser.add_argument("--easyocr", type=Path, help="trainer/craft of an EasyOCR checkout")
    parser.add_argument("--crop", type=int, default=768, help="side of the crops, pixels (default 768)")
    parser.add_argument("--count", type=int, default=48, help="scenes and crops timed (default 48)")
    parser.add_argument("--workers", type=int, default=2, help="loader processes for the stream (default 2)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    keep_freed_memory()  # as loader processes do
    load_transforms(ALL)

    scenes = [
        with_characters(scene) for scene in read_dataset(DatasetSettings(path=options.folder)).scenes[: options.count]
    ]
    check_pixels_and_quads([scene for scene in scenes if any(not word.dont_care for word in scene.words)][:8])
    check_workers(scenes, options.crop)
    time_stages(scenes, options.crop)
    time_ways(scenes, options.crop, options.easyocr)
    time_stream(scenes, options.crop, options.workers)


def check_pixels_and_quads(scenes: list[Scene], size: int = 384) -> None:
    """Samples against a slow warp and OpenCV's own transformation of points, both by the matrix of the sample."""
    settings = ALL.model_copy(update=STILL)
    worst_level = worst_corner = 0.0
    for seed, scene in enumerate(scenes):
        image = decode_image(Path(scene.image_path).read_bytes())
        sample = make_sample(image, scene.words, seed=seed, crop_size=size, settings=settings)
        matrix = sample_matrix(
            np.random.default_rng(seed),
            image_size_hw=image.shape[:2],
            crop_size_hw=(size, size),
            word_polygons_xy=[word.polygon_xy for word in scene.words],
            readable=np.array([not word.dont_care for word in scene.words], dtype=bool),
            settings=settings,
        )
        difference = np.abs(sample.image - slow_warp(image, matrix, (size, size)))
        worst_level = max(worst_level, float(difference.max()))
        quads = [word.character_quads_xy for word in scene.words if word.character_quads_xy is not None]
        moved = cv2.perspectiveTransform(np.concatenate(quads).astype(np.float64), matrix)  # (C, 4, 2)
        for quad in sample.character_quads_xy:
            worst_corner = max(worst_corner, float(np.abs(moved - quad).max(axis=(1, 2)).min()))
    print(f"pixels within {worst_level:.1f} levels of a slow warp, quads within {worst_corner:.4f} px of OpenCV's")
    assert worst_level <= 2
    assert worst_corner <= 0.01


def slow_warp(image: NDArray[np.uint8], matrix: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Bilinear in float64, every pixel centre sent back."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    x, y, w = np.einsum("ij,jyx->iyx", np.linalg.inv(matrix), np.stack([columns, rows, np.ones_like(rows)]))
    x, y = x / w - 0.5, y / w - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    framed = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    value = np.zeros((*size_hw, 3))
    for right, below in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = np.abs(1 - right - (x - left)) * np.abs(1 - below - (y - top))
        column = np.clip(left + right + 1, 0, image.shape[1] + 1)
        value += weight[..., None] * framed[np.clip(top + below + 1, 0, image.shape[0] + 1), column]
    return value


def check_workers(scenes: list[Scene], crop: int) -> None:
    for alone, together in zip(islice(stream(scenes, crop, 0), 3), islice(stream(scenes, crop, 2), 3), strict=True):
        assert torch.equal(alone.images, together.images), "loader processes change pixels"
        assert np.array_equal(alone.character_quads_xy, together.character_quads_xy), "loader processes change quads"
    print("batches of 0 and 2 loader processes are equal to the bit")


def stream(scenes: list[Scene], crop: int, workers: int) -> Iterator[Batch]:
    return build_loader(
        [(scenes, 1.0)],
        seed=0,
        crop_size=crop,
        augment=ALL,
        batch_size=BATCH,
        workers=workers,
        start_position=0,
        cache_bytes=1 << 30,
    )


def time_stages(scenes: list[Scene], crop: int) -> None:
    still = ALL.model_copy(update=STILL)
    files = [Path(scene.image_path).read_bytes() for scene in scenes]
    images = [decode_image(file) for file in files]
    samples = [
        make_sample(image, scene.words, seed=index, crop_size=crop, settings=still)
        for index, (image, scene) in enumerate(zip(images, scenes, strict=True))
    ]

    def changing(kind: str) -> Callable[[int], object]:
        settings = still.model_copy(update={kind: 1.0})
        return lambda index: change_colours(samples[index].image, index, settings)

    stages: dict[str, Callable[[int], object]] = {
        "decode": lambda index: decode_image(files[index]),
        "matrix, warp and quads": lambda index: make_sample(
            images[index], scenes[index].words, seed=index, crop_size=crop, settings=still
        ),
        **{kind: changing(kind) for kind in STILL},
    }
    print("\none stage of one crop, ms of processor time:  median (5th to 95th percentile)")
    for name, seconds in in_turn(stages, len(scenes)).items():
        low, middle, high = 1e3 * np.percentile(seconds, [5, 50, 95])
        print(f"  {name:44s} {middle:6.2f} ({low:.2f} to {high:.2f})")
    start = time.process_time()
    for first in range(0, len(samples) - BATCH + 1, BATCH):
        collate(samples[first : first + BATCH])
    print(f"  {'collate, a crop of a batch of 8':44s} {1e3 * (time.process_time() - start) / len(samples):6.2f}")


def time_ways(scenes: list[Scene], crop: int, easyocr: Path | None) -> None:
    """From files to batches; EasyOCR's trainer from files to samples, without putting them together."""
    ways: dict[str, Callable[[int], object]] = {}
    for name, settings in WAYS.items():
        dataset = SceneDataset([(scenes, 1.0)], seed=0, crop_size=crop, augment=settings)
        ways[name] = batches_of(dataset)
    if easyocr is not None:
        theirs = easyocr_samples(easyocr, scenes, crop)
        ways["EasyOCR trainer, crop and colour"] = lambda batch: [
            theirs[index] for index in range(BATCH * batch, BATCH * (batch + 1))
        ]
    times = in_turn(ways, len(scenes) // BATCH)
    last = next(reversed(times.values()))
    print(f"\n1280 x 720 JPEG to {crop} x {crop} crops, in batches of {BATCH}")
    for name, seconds in times.items():
        each = np.array(seconds) / BATCH
        ratio = np.median(np.array(last) / np.array(seconds))
        print(
            f"  {name:44s} {1e3 * np.median(each):6.2f} ms ({1e3 * each.min():.2f} to {1e3 * each.max():.2f}), "
            f"{1 / np.median(each):6.1f} images/s and core, {ratio:5.1f} times the last"
        )


def batches_of(dataset: SceneDataset) -> Callable[[int], Batch]:
    return lambda batch: collate([dataset[0, index] for index in range(BATCH * batch, BATCH * (batch + 1))])


def easyocr_samples(checkout: Path, scenes: list[Scene], crop: int) -> object:
    """The dataset of EasyOCR's trainer over our scenes, with the augmentation of its configuration for SynthText."""
    sys.path.insert(0, str(checkout))
    module = importlib.import_module("data.dataset")

    class Scenes(module.SynthTextDataSet):  # type: ignore[name-defined, misc]
        def load_data(self, bbox: str = "char") -> tuple[list, list, list]:
            quads = [[word.character_quads_xy for word in scene.words if not word.dont_care] for scene in scenes]
            boxes = [np.concatenate([np.zeros((0, 4, 2)), *own]).transpose(2, 1, 0).copy() for own in quads]
            texts = [["x" * len(characters) for characters in own] for own in quads]
            return [[scene.image_path] for scene in scenes], boxes, texts

    off = SimpleNamespace(option=False)
    return Scenes(
        output_size=crop,
        data_dir="",
        saved_gt_dir=None,
        mean=[0.485, 0.456, 0.406],
        variance=[0.229, 0.224, 0.225],
        gauss_init_size=200,
        gauss_sigma=40,
        enlarge_region=[0.5, 0.5],
        enlarge_affinity=[0.5, 0.5],
        aug=SimpleNamespace(
            random_scale=off,
            random_rotate=off,
            random_crop=SimpleNamespace(option=True, version="random_resize_crop_synth"),
            random_horizontal_flip=off,
            random_colorjitter=SimpleNamespace(option=True, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.2),
        ),
        vis_test_dir="",
        vis_opt=False,
        sample=-1,
    )


def in_turn(ways: dict[str, Callable[[int], object]], count: int) -> dict[str, list[float]]:
    """Seconds of processor time that each way takes for each index, one way after the other."""
    works = {name: partial(next, map(work, (0, *range(count)))) for name, work in ways.items()}
    return time_in_turn(works, rounds=count, clock=time.process_time)


def time_stream(scenes: list[Scene], crop: int, workers: int) -> None:
    print("\nthe whole loader, seconds as they pass")
    for count in (0, workers):
        batches = stream(scenes, crop, count)
        for _ in range(4 * max(1, count)):
            batch = next(batches)
        start = time.perf_counter()
        number = max(1, len(scenes) // BATCH)
        for _ in range(number):
            batch = next(batches)
        seconds = time.perf_counter() - start
        print(f"  {count} loader processes: {BATCH * number / seconds:.1f} crops/s")
    print(f"  {batch_bytes(batch) / BATCH / 1e6:.2f} MB a crop go to the device")


def batch_bytes(batch: Batch) -> int:
    arrays = [getattr(batch, name) for name in batch.__dataclass_fields__ if name != "names"]
    return sum(array.nbytes for array in arrays)


if __name__ == "__main__":
    main()
