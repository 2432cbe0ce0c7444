"""Gathers the crops of many scenes' words into batches of one size, while others are being worked on."""

from __future__ import annotations

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

from craft.geometry import polygon_to_strips
from craft.images.reader import read_image
from craft.scene import Scene, Word
from craft.targets.characters import VERTICAL_RATIO, grapheme_clusters
from craft.teacher.crop_kernels import mean_sides
from craft.teacher.word_crops import Frame, crop_word, crop_words_on_device, word_frame

_WAITING_PIXELS = 1 << 26  # crop pixels that wait for others of their size, at most
_BATCH_PIXELS = {"cpu": 1 << 17, "cuda": 1 << 21}  # crop pixels of a pass of the network, about


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One way to read a word.

    Attributes:
        scene: index of its scene.
        word: index of the word in the scene.
        rank: 0 for the likeliest way to read it, then 1, 2, ...
        length: characters to find.
        frame: where the crop lies in the scene.
        crop: (height, width, 3) uint8 array, or (3, height, width) uint8 tensor on the device.
    """

    scene: int
    word: int
    rank: int
    length: int
    frame: Frame
    crop: NDArray[np.uint8] | Tensor


class CallingThread(Executor):
    """An executor without threads: what is submitted is done at once, by the caller."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **names: Any) -> Future[Any]:
        """Do it.

        Args:
            function: what to do.
            arguments: of the function.
            names: of the function.

        Returns:
            A future that is done.

        Raises:
            Exception: what the function raised, at once.
        """
        future: Future[Any] = Future()
        future.set_result(function(*arguments, **names))
        return future


def teachable_length(word: Word) -> int:
    """How many characters a teacher has to find in a word.

    Args:
        word: as read.

    Returns:
        Its grapheme clusters without spaces; 0 for a word that is don't care or whose characters are known.
    """
    if word.dont_care or word.character_quads_xy is not None:
        return 0
    return len(grapheme_clusters(word.text or ""))


def reading_frames(polygon_xy: NDArray[np.float32], length: int, *, height: int) -> list[Frame]:
    """The ways in which a word may be read, the likeliest first.

    Args:
        polygon_xy: (P, 2) corners, source pixels, clockwise from the start of the text.
        length: its characters.
        height: of the crops, pixels.

    Returns:
        One frame for a word wider than tall or of one character. For others also downwards, and where it is more than
        1.5 times taller than wide, turned either way: labels of sideways text often start at the picture's top-left.
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
    pool: Executor, scenes: Sequence[Scene], *, device: torch.device, height: int, ahead: int, bar: tqdm
) -> Iterator[list[Attempt]]:
    """Gather crops of one size across scenes.

    Args:
        pool: what reads pictures and, for the CPU, draws crops.
        scenes: as read.
        device: where the crops are wanted.
        height: of the crops, pixels.
        ahead: scenes read before they are needed.
        bar: moves on with every scene.

    Yields:
        Batches of one size of crop; which ones are together depends on the scenes alone.

    Raises:
        ValueError: a picture cannot be read.
    """
    limit = _BATCH_PIXELS.get(device.type, _BATCH_PIXELS["cpu"])
    waiting: dict[tuple[int, int], list[Attempt]] = {}
    waiting_pixels = 0
    for attempts in _in_order(pool, scenes, device=device, height=height, ahead=ahead):
        bar.update()
        for attempt in attempts:
            size_hw = attempt.frame.size_hw
            pixels = size_hw[0] * size_hw[1]
            group = waiting.setdefault(size_hw, [])
            group.append(attempt)
            waiting_pixels += pixels
            if len(group) * pixels >= limit:
                yield waiting.pop(size_hw)
                waiting_pixels -= len(group) * pixels
        if waiting_pixels > _WAITING_PIXELS:
            yield from waiting.values()
            waiting, waiting_pixels = {}, 0
    yield from waiting.values()


def _in_order(
    pool: Executor, scenes: Sequence[Scene], *, device: torch.device, height: int, ahead: int
) -> Iterator[list[Attempt]]:
    """The attempts of each scene, in order, with some scenes read ahead."""
    draw_here = device.type == "cpu"
    futures: deque[Future[tuple[list[Attempt], NDArray[np.uint8] | None]]] = deque()
    for index, scene in enumerate(scenes):
        futures.append(pool.submit(_read_attempts, index, scene, height, draw_crops=draw_here))
        if len(futures) > ahead:
            yield _on_device(*futures.popleft().result(), device=device)
    while futures:
        yield _on_device(*futures.popleft().result(), device=device)


def _read_attempts(
    index: int, scene: Scene, height: int, *, draw_crops: bool
) -> tuple[list[Attempt], NDArray[np.uint8] | None]:
    """The attempts at a scene's words, with their crops or with the picture that they are to be drawn from."""
    wanted = [
        (number, rank, length, frame)
        for number, word in enumerate(scene.words)
        if (length := teachable_length(word))
        for rank, frame in enumerate(reading_frames(word.polygon_xy, length, height=height))
    ]
    if not wanted:
        return [], None
    image = read_image(scene.image_path)
    empty = np.empty(0, np.uint8)
    attempts = [
        Attempt(index, number, rank, length, frame, crop_word(image, frame) if draw_crops else empty)
        for number, rank, length, frame in wanted
    ]
    return attempts, None if draw_crops else image


def _on_device(attempts: list[Attempt], image: NDArray[np.uint8] | None, *, device: torch.device) -> list[Attempt]:
    if image is None:
        return attempts
    picture = torch.from_numpy(image).to(device, non_blocking=True).permute(2, 0, 1)
    crops = crop_words_on_device(picture, [attempt.frame for attempt in attempts])
    return [replace(attempt, crop=crop) for attempt, crop in zip(attempts, crops, strict=True)]
