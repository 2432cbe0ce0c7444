"""Labels the characters of words with a network: crops in batches on its device, splitting on other cores meanwhile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from craft.geometry import is_simple
from craft.models.craft import normalise_images
from craft.scene import Scene, Word
from craft.targets.characters import split_evenly
from craft.teacher.crop_batches import Attempt, CallingThread, gather_batches, teachable_length
from craft.teacher.crop_kernels import all_convex
from craft.teacher.splitting import TRUSTED, Splitter, split_map

_MAP_STRIDE = 2
_SCENES_AHEAD = 4  # read before they are needed, per worker


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """What a teacher did.

    Attributes:
        words: words that it labelled.
        confidence_sum: sum of their confidences, before those under a half were raised to it.
        under_half: words that it was less than half sure of, which are split evenly.
        seconds: time that it took.
    """

    words: int = 0
    confidence_sum: float = 0.0
    under_half: int = 0
    seconds: float = 0.0

    @property
    def mean_confidence(self) -> float:
        """Mean confidence; 0 without words."""
        return self.confidence_sum / self.words if self.words else 0.0

    @property
    def share_under_half(self) -> float:
        """Share of words split evenly; 0 without words."""
        return self.under_half / self.words if self.words else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What an attempt gave.

    Attributes:
        attempt: what was tried.
        quads_xy: (C, 4, 2) float32, characters in source pixels, in reading order.
        num_found: characters counted without knowing how many there are.
        confidence: how far they are trusted, 0 to 1.
    """

    attempt: Attempt
    quads_xy: NDArray[np.float32]
    num_found: int
    confidence: float

    @property
    def goodness(self) -> tuple[float, int]:
        """By what the best of several attempts at a word is chosen: the surest, and of these the likeliest."""
        return self.confidence, -self.attempt.rank


def label_scenes(
    model: nn.Module,
    scenes: Sequence[Scene],
    *,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    splitter: Splitter = "cuts",
    height: int = 64,
    workers: int = 1,
    progress: bool = False,
) -> tuple[list[Scene], LabelCounts]:
    """Give every cared-for word with a text and without characters its characters, and how far they are trusted.

    Args:
        model: the network on `device`, in evaluation mode.
        scenes: as read.
        device: where crops are drawn (with OpenCV on the CPU) and the network runs.
        precision: what autocast computes in: torch.float32 or torch.bfloat16.
        splitter: how a word's region map is split, see `split_map`.
        height: of the crops, pixels, a multiple of 32.
        workers: threads that read pictures, draw crops and split maps while the network runs; 0 does all of it in the
            calling thread.
        progress: show a bar of scenes.

    Returns:
        The scenes with these words labelled and all others as they were, and counts. A word that the teacher is less
        than half sure of is split evenly and trusted by a half.

    Raises:
        ValueError: a picture cannot be read, or `height` is no multiple of 32.

    Source: CRAFT, Baek et al., CVPR 2019, section 3.2.2. Batches over scenes, the splitter of known length, and words
        taller than wide, which are read across, downwards and turned, whichever is surest, are ours.
    """
    if height < 32 or height % 32:
        raise ValueError(f"height of the teacher's crops is {height}; use a multiple of 32")
    assert not model.training, "a teacher in training mode would learn from its crops' statistics"
    start = time.perf_counter()
    best: dict[tuple[int, int], Found] = {}
    bar = tqdm(total=len(scenes), desc="label", leave=False, disable=not progress)
    with ThreadPoolExecutor(workers) if workers else CallingThread() as pool:
        splits: deque[Future[list[Found]]] = deque()
        for batch in gather_batches(pool, scenes, device=device, height=height, ahead=_SCENES_AHEAD * workers, bar=bar):
            maps = region_maps(model, batch, device, precision)
            splits.append(pool.submit(_split_batch, batch, maps, splitter))
            while splits and (splits[0].done() or len(splits) > 2 * workers):
                _keep_best(best, splits.popleft().result())
        while splits:
            _keep_best(best, splits.popleft().result())
    bar.close()
    return _labelled(scenes, best, seconds=time.perf_counter() - start)


def region_maps(
    model: nn.Module, batch: Sequence[Attempt], device: torch.device, precision: torch.dtype
) -> NDArray[np.uint8]:
    """Run the network over crops of one size.

    Args:
        model: the network on `device`, in evaluation mode.
        batch: attempts with crops of one size.
        device: where the network runs.
        precision: what autocast computes in.

    Returns:
        (B, H/2, W/2) uint8, region scores in 255ths: a quarter of the bytes of float32 to bring back.
    """
    if isinstance(batch[0].crop, Tensor):
        images = torch.stack([torch.as_tensor(attempt.crop) for attempt in batch])
    else:
        images = torch.from_numpy(np.stack([attempt.crop for attempt in batch])).permute(0, 3, 1, 2)
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)
    with torch.inference_mode(), autocast:
        maps, _features = model(normalise_images(images).contiguous(memory_format=torch.channels_last))
        return (maps[:, 0].float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _split_batch(batch: Sequence[Attempt], maps: NDArray[np.uint8], splitter: Splitter) -> list[Found]:
    return [split_attempt(attempt, levels, splitter) for attempt, levels in zip(batch, maps, strict=True)]


def split_attempt(attempt: Attempt, levels: NDArray[np.uint8], splitter: Splitter) -> Found:
    """Split one crop's map into characters, in source pixels.

    Args:
        attempt: whose map it is.
        levels: (H/2, W/2) uint8, region scores in 255ths.
        splitter: how, see `split_map`.

    Returns:
        The characters. A quad without area or turned over, as words that are not convex give, makes their confidence 0.
    """
    left, top, right, bottom = (side / _MAP_STRIDE for side in attempt.frame.box_xyxy)
    downwards = attempt.frame.downwards
    box = (top, left, bottom, right) if downwards else (left, top, right, bottom)
    split = split_map(levels.T if downwards else levels, box, attempt.length, splitter=splitter)
    quads, usable = attempt.frame.characters(split.boxes_xyxy, stride=_MAP_STRIDE)
    return Found(attempt, quads, split.num_found, split.confidence if usable and len(quads) else 0.0)


def _keep_best(best: dict[tuple[int, int], Found], found: Sequence[Found]) -> None:
    for one in found:
        place = (one.attempt.scene, one.attempt.word)
        if place not in best or one.goodness > best[place].goodness:
            best[place] = one


def _labelled(
    scenes: Sequence[Scene], best: dict[tuple[int, int], Found], *, seconds: float
) -> tuple[list[Scene], LabelCounts]:
    labelled, total, confidence_sum, under_half = [], 0, 0.0, 0
    for index, scene in enumerate(scenes):
        words = list(scene.words)
        for number, word in enumerate(words):
            if not teachable_length(word):
                continue
            found = best.get((index, number))
            confidence = 0.0 if found is None else found.confidence
            total += 1
            confidence_sum += confidence
            under_half += confidence < TRUSTED
            if found is None or confidence < TRUSTED:
                words[number] = _evenly_split(word)
            else:
                words[number] = replace(word, character_quads_xy=found.quads_xy, confidence=confidence)
        labelled.append(replace(scene, words=tuple(words)))
    return labelled, LabelCounts(total, confidence_sum, under_half, seconds)


def _evenly_split(word: Word) -> Word:
    quads = split_evenly(word.polygon_xy, word.text or "")
    # Parts of a word that is not convex may cross themselves; a label file could not hold them.
    known = quads if all_convex(quads) or all(is_simple(quad) for quad in quads) else None
    return replace(word, character_quads_xy=known, confidence=TRUSTED)
