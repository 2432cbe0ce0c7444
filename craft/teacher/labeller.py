"""Labels the characters of words with a network: batches of crops on its device, while other threads split the maps."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from craft.config import DatasetSettings, Splitter
from craft.datasets.collection import read_scenes
from craft.geometry import MAP_STRIDE, is_simple
from craft.models.device import choose_device, choose_precision
from craft.models.digest import weights_digest
from craft.models.fusing import fuse_layers
from craft.models.inference import run_network
from craft.models.weights import build_model, read_weights
from craft.scene import Scene, Word
from craft.targets.characters import num_missing_characters, split_evenly
from craft.teacher.crop_batches import InlineExecutor, WordCrop, gather_batches
from craft.teacher.label_files import LabelCounts, Origin, origin_of, write_labels
from craft.teacher.splitter import LEAST_CONFIDENCE, split_map

_SCENES_AHEAD = 4  # read before they are needed, per worker


@dataclass(frozen=True, slots=True, eq=False)
class FoundCharacters:
    """The characters found in a word crop, without its pixels: those of all words would not fit in memory."""

    word: tuple[int, int]  # index of its scene, and of the word in the scene
    rank: int  # of the crop's direction, 0 for the most likely
    quads_xy: NDArray[np.float32]  # (C, 4, 2) source pixels, in reading order
    num_found: int  # characters counted without knowing how many there are
    confidence: float  # how far they are trusted, 0 to 1

    @property
    def preference(self) -> tuple[float, int]:
        """Larger for the better of a word's crops: by confidence, then by how likely the direction is."""
        return self.confidence, -self.rank


def label_dataset(
    settings: DatasetSettings,
    weights_path: str,
    out: Path,
    *,
    splitter: Splitter = "cuts",
    height: int = 64,
    device: str = "auto",
    workers: int = 1,
    echo: Callable[[str], None] = print,
) -> Origin:
    """Label the characters of a dataset with given weights, as `label_scenes` does, and write them to a label file.

    Scenes with errors are left out, and words of images that turn out to be unreadable are split evenly. ValueError if dataset or weights cannot be read, or no word needs a teacher.
    """
    scenes = read_scenes(settings, on_error="skip", echo=echo)
    if not any(num_missing_characters(word) for scene in scenes for word in scene.words):
        raise ValueError(f"{settings.path}: all readable words already have characters; there is nothing to label")
    chosen = choose_device(device)
    model = build_model(read_weights(weights_path)).to(chosen).eval()
    digest = weights_digest(model)
    fuse_layers(model)
    labelled, counts = label_scenes(
        model,
        scenes,
        device=chosen,
        precision=choose_precision("auto", chosen),
        splitter=splitter,
        height=height,
        workers=workers,
        progress=True,
        unreadable=lambda what: echo(f"words split evenly: {what}"),
    )
    origin = origin_of(Path(weights_path).name, digest, counts, splitter=splitter, height=height)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_labels(out, scenes, labelled, origin)
    return origin


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
    unreadable: Callable[[str], None] | None = None,
) -> tuple[list[Scene], LabelCounts]:
    """Give every cared-for word that has a text but no characters its characters and their confidence.

    A word of confidence below 0.5 is split evenly and gets 0.5.

    Args:
        model: the network on `device`, in evaluation mode.
        precision: of autocast: torch.float32 or torch.bfloat16.
        splitter: how region maps are split, see `split_map`.
        height: of the word crops, pixels, a multiple of 32.
        workers: threads that read images, crop words and split maps while the network runs; 0 for none.
        unreadable: told of each image that cannot be read, whose words are split evenly; without it, a ValueError.

    Source: CRAFT, Baek et al., CVPR 2019, section 3.2.2. Batches over scenes, splitting into a known number of
        characters, and reading tall words across, downwards and turned, with the most confident kept, are ours.
    """
    if height < 32 or height % 32:
        raise ValueError(f"the height of word crops is {height}; use a multiple of 32")
    assert not model.training, "a teacher in training mode would learn from its crops' statistics"
    start = time.perf_counter()
    best: dict[tuple[int, int], FoundCharacters] = {}
    bar = tqdm(total=len(scenes), desc="label", leave=False, disable=not progress)
    ahead = _SCENES_AHEAD * workers
    with ThreadPoolExecutor(workers) if workers else InlineExecutor() as pool:
        splits: deque[Future[list[FoundCharacters]]] = deque()
        for batch in gather_batches(
            pool, scenes, device=device, height=height, ahead=ahead, bar=bar, unreadable=unreadable
        ):
            maps = region_maps(model, batch, device, precision)
            splits.append(pool.submit(_split_batch, batch, maps, splitter))
            while splits and (splits[0].done() or len(splits) > 2 * workers):
                _keep_best(best, splits.popleft().result())
        while splits:
            _keep_best(best, splits.popleft().result())
    bar.close()
    return _labelled(scenes, best, seconds=time.perf_counter() - start)


def region_maps(
    model: nn.Module, batch: Sequence[WordCrop], device: torch.device, precision: torch.dtype
) -> NDArray[np.uint8]:
    """Run the network over crops of one size: (B, H/2, W/2) uint8 region scores in 255ths, cheaper to copy than floats."""
    if isinstance(batch[0].pixels, Tensor):
        images = torch.stack([torch.as_tensor(crop.pixels) for crop in batch])
    else:
        images = torch.from_numpy(np.stack([crop.pixels for crop in batch])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        maps, _features = run_network(model, images.to(device), precision=precision)
        return (maps[:, 0].float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def split_crop(crop: WordCrop, levels: NDArray[np.uint8], splitter: Splitter) -> FoundCharacters:
    """Split the map of one crop, (H/2, W/2) region scores in 255ths; confidence 0 if a quad is empty or turned over."""
    left, top, right, bottom = (side / MAP_STRIDE for side in crop.frame.box_xyxy)
    downwards = crop.frame.downwards
    box = (top, left, bottom, right) if downwards else (left, top, right, bottom)
    split = split_map(levels.T if downwards else levels, box, crop.length, splitter=splitter)
    quads, usable = crop.frame.characters(split.boxes_xyxy)
    confidence = split.confidence if usable and len(quads) else 0.0
    return FoundCharacters((crop.scene, crop.word), crop.rank, quads, split.num_found, confidence)


def _split_batch(batch: Sequence[WordCrop], maps: NDArray[np.uint8], splitter: Splitter) -> list[FoundCharacters]:
    return [split_crop(crop, levels, splitter) for crop, levels in zip(batch, maps, strict=True)]


def _keep_best(best: dict[tuple[int, int], FoundCharacters], batch: Sequence[FoundCharacters]) -> None:
    for found in batch:
        if found.word not in best or found.preference > best[found.word].preference:
            best[found.word] = found


def _labelled(
    scenes: Sequence[Scene], best: dict[tuple[int, int], FoundCharacters], *, seconds: float
) -> tuple[list[Scene], LabelCounts]:
    labelled, num_words, confidence_sum, under_half = [], 0, 0.0, 0
    for index, scene in enumerate(scenes):
        words = list(scene.words)
        for number, word in enumerate(words):
            if not num_missing_characters(word):
                continue
            found = best.get((index, number))
            confidence = 0.0 if found is None else found.confidence
            num_words += 1
            confidence_sum += confidence
            under_half += confidence < LEAST_CONFIDENCE
            if found is None or confidence < LEAST_CONFIDENCE:
                words[number] = _split_evenly(word)
            else:
                words[number] = replace(word, character_quads_xy=found.quads_xy, confidence=confidence)
        labelled.append(replace(scene, words=tuple(words)))
    return labelled, LabelCounts(num_words, confidence_sum, under_half, seconds)


def _split_evenly(word: Word) -> Word:
    quads = split_evenly(word.polygon_xy, word.text or "")
    # Parts of a word that is not convex may cross themselves; a label file could not hold them.
    known = quads if all(is_simple(quad) for quad in quads) else None
    return replace(word, character_quads_xy=known, confidence=LEAST_CONFIDENCE)
