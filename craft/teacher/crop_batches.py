"""Gathers the word crops of many scenes into batches of one size, reading scenes ahead in other threads."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from craft.errors import Problem
from craft.geometry import polygon_to_strips
from craft.images.reader import read_image
from craft.scene import Scene
from craft.targets.characters import VERTICAL_RATIO, is_to_be_counted, num_missing_characters
from craft.teacher.crop_kernels import mean_sides
from craft.teacher.word_crops import CropFrame, crop_word, crop_words_on_device, word_frame

_WAITING_PIXELS = 1 << 26  # crop pixels that wait for others of their size, at most
_SEVERAL = 2  # characters, at least, that a word of unknown length may have when its directions are listed
_BATCH_PIXELS = {"cpu": 1 << 17, "cuda": 1 << 21}  # crop pixels in a batch, about


@dataclass(frozen=True, slots=True, eq=False)
class WordCrop:
    """A word crop in one of the directions in which the word may read."""

    scene: int  # index of its scene
    word: int  # index of the word in the scene
    rank: int  # 0 for the most likely direction, then 1, 2, ..
    length: int  # characters to find; 0 where they are to be counted
    frame: CropFrame
    pixels: NDArray[np.uint8] | Tensor  # (height, width, 3), or a (3, height, width) uint8 tensor on the device


class InlineExecutor(Executor):
    """An executor without threads, which runs what is submitted at once."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **names: Any) -> Future[Any]:
        """Run the function in the calling thread and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **names))
        except Exception as error:
            future.set_exception(error)
        return future


def reading_frames(polygon_xy: NDArray[np.float32], length: int, *, height: int) -> list[CropFrame]:
    """List the directions in which a word (P, 2), clockwise from the start of its text, may read, most likely first.

    A word wider than tall, or of one character, has one frame. Others may also read downwards, and one more than 1.5
    times taller than wide may be turned either way, since labels of sideways text often start at the image's top-left.
    """
    wide, tall = mean_sides(polygon_to_strips(polygon_xy).astype(np.float64))
    frames = [word_frame(polygon_xy, height=height)]
    if length >= 2 and tall > wide:
        down = word_frame(polygon_xy, height=height, downwards=True)
        frames = [down, *frames] if tall > VERTICAL_RATIO * wide else [*frames, down]
        if tall > VERTICAL_RATIO * wide and len(polygon_xy) == 4:
            frames += [word_frame(np.roll(polygon_xy, turn, axis=0), height=height) for turn in (-1, 1)]
    return [frame for frame in frames if frame is not None]


def gather_batches(
    pool: Executor,
    scenes: Sequence[Scene],
    *,
    device: torch.device,
    height: int,
    ahead: int,
    bar: tqdm,
    unreadable: Callable[[str], None] | None = None,
) -> Iterator[list[WordCrop]]:
    """Gather the crops of words whose characters are missing, one size per batch, across scenes.

    Which crops are together depends on the scenes alone. The pool reads images and, for the CPU, crops words. A scene
    whose image cannot be read has no crops, and `unreadable` is told of it; without that, it is an error.
    """
    limit = _BATCH_PIXELS.get(device.type, _BATCH_PIXELS["cpu"])
    waiting: dict[tuple[int, int], list[WordCrop]] = {}
    waiting_pixels = 0
    for crops in _crops_by_scene(pool, scenes, device=device, height=height, ahead=ahead, unreadable=unreadable):
        bar.update()
        for crop in crops:
            size_hw = crop.frame.size_hw
            num_pixels = size_hw[0] * size_hw[1]
            batch = waiting.setdefault(size_hw, [])
            batch.append(crop)
            waiting_pixels += num_pixels
            if len(batch) * num_pixels >= limit:
                yield waiting.pop(size_hw)
                waiting_pixels -= len(batch) * num_pixels
        if waiting_pixels > _WAITING_PIXELS:
            yield from waiting.values()
            waiting, waiting_pixels = {}, 0
    yield from waiting.values()


def _crops_by_scene(
    pool: Executor,
    scenes: Sequence[Scene],
    *,
    device: torch.device,
    height: int,
    ahead: int,
    unreadable: Callable[[str], None] | None,
) -> Iterator[list[WordCrop]]:
    """Yield the crops of each scene in order."""
    on_cpu = device.type == "cpu"
    futures: deque[Future[tuple[list[WordCrop], NDArray[np.uint8]]]] = deque()

    def next_crops() -> list[WordCrop]:
        try:
            crops, image = futures.popleft().result()
        except Problem as problem:
            if unreadable is None:
                raise problem.skippable() from None
            unreadable(str(problem))
            return []
        return crops if on_cpu else _crop_on_device(crops, image, device)

    for index, scene in enumerate(scenes):
        futures.append(pool.submit(_crop_on_cpu if on_cpu else _read_scene, index, scene, height))
        if len(futures) > ahead:
            yield next_crops()
    while futures:
        yield next_crops()


def _read_scene(index: int, scene: Scene, height: int) -> tuple[list[WordCrop], NDArray[np.uint8]]:
    """Crops without pixels, and the image to take them from, empty where there are none."""
    empty = np.empty(0, np.uint8)
    crops = [
        WordCrop(index, number, rank, length, frame, empty)
        for number, word in enumerate(scene.words)
        if (length := num_missing_characters(word)) or is_to_be_counted(word)
        for rank, frame in enumerate(reading_frames(word.polygon_xy, length or _SEVERAL, height=height))
    ]
    return crops, read_image(scene.image_path) if crops else empty


def _crop_on_cpu(index: int, scene: Scene, height: int) -> tuple[list[WordCrop], NDArray[np.uint8]]:
    crops, image = _read_scene(index, scene, height)
    return [replace(crop, pixels=crop_word(image, crop.frame)) for crop in crops], np.empty(0, np.uint8)


def _crop_on_device(crops: list[WordCrop], image: NDArray[np.uint8], device: torch.device) -> list[WordCrop]:
    if not crops:
        return []
    on_device = torch.from_numpy(image).to(device, non_blocking=True).permute(2, 0, 1)
    pixels = crop_words_on_device(on_device, [crop.frame for crop in crops])
    return [replace(crop, pixels=own) for crop, own in zip(crops, pixels, strict=True)]
