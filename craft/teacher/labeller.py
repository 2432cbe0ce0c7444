"""Labels the characters of words with a network: batches of crops on its device, while other threads split the maps."""

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
from craft.datasets.reading import read_scenes
from craft.geometry import MAP_STRIDE, is_simple, polygon_to_strips
from craft.models.device import choose_device, choose_precision
from craft.models.fusing import fuse_layers
from craft.models.inference import run_network
from craft.models.weights import build_model, read_weights, weights_digest
from craft.scene import Scene, Word
from craft.targets.characters import is_to_be_counted, num_missing_characters, split_evenly
from craft.teacher.crop_batches import InlineExecutor, WordCrop, gather_batches
from craft.teacher.crop_kernels import mean_sides
from craft.teacher.label_files import LabelCounts, Origin, origin_of, write_labels
from craft.teacher.splitter import LEAST_CONFIDENCE, split_map, watershed_boxes

_USUAL_CHARACTER, _USUAL_WIDTH = "x", 0.5  # its width as a share of its word's height; for words that nobody can count
_SCENES_AHEAD = 4  # read before they are needed, per worker


@dataclass(frozen=True, slots=True, eq=False)
class FoundCharacters:
    """The characters found in a word crop, without its pixels: those of all words would not fit in memory."""

    word: tuple[int, int]  # index of its scene, and of the word in the scene
    rank: int  # of the crop's direction, 0 for the most likely
    quads_xy: NDArray[np.float32]  # (C, 4, 2) source pixels, in reading order
    num_found: int  # characters counted without knowing how many there are
    confidence: float  # how far they are trusted, 0 to 1


def label_dataset(
    settings: DatasetSettings,
    weights_path: str,
    out: Path,
    *,
    splitter: Splitter = "cuts",
    height: int = 64,
    boxes_only: bool = False,
    device: str = "auto",
    workers: int = 1,
    echo: Callable[[str], None] = print,
) -> Origin:
    """Label the characters of a dataset with given weights, as `label_scenes` does, and write them to a label file.

    Scenes with errors are left out, and words of images that turn out to be unreadable are split evenly. With `boxes_only`,
    words that are don't care only for want of a transcription are labelled too, their characters counted. ValueError if
    dataset or weights cannot be read, or no word needs a teacher.
    """
    as_read = read_scenes(settings, on_error="skip", echo=echo)
    untranscribed = sum(word.untranscribed for scene in as_read for word in scene.words)
    if untranscribed:
        done = "characters will be counted" if boxes_only else "don't care; --boxes-only has their characters counted"
        echo(f"{settings.path}: {untranscribed:,} words without a transcription, {done}")
    scenes = [_wanting_count(scene) for scene in as_read] if boxes_only else as_read
    if not any(_needs_teacher(word) for scene in scenes for word in scene.words):
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
    write_labels(out, as_read, labelled, origin)
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
    """Give every cared-for word without characters its characters and their confidence.

    A word of confidence below 0.5 is split evenly and gets 0.5. Characters of a cared-for word without a text are counted
    by watershed, and its confidence says how well the count of peaks agrees; where it is below 0.5, the word is split into
    characters half as wide as tall.

    Args:
        model: the network on `device`, in evaluation mode.
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
    bar = tqdm(total=len(scenes), desc="label", leave=False, disable=not (progress and scenes))
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
    """Split the map of one crop, (H/2, W/2) region scores in 255ths.

    The confidence is 0 if a quad is empty or turned over, or if there is nothing to count.
    """
    left, top, right, bottom = (side / MAP_STRIDE for side in crop.frame.box_xyxy)
    downwards = crop.frame.downwards
    box = (top, left, bottom, right) if downwards else (left, top, right, bottom)
    upright = levels.T if downwards else levels
    length = crop.length or len(watershed_boxes(upright, box))
    if not length:
        return FoundCharacters((crop.scene, crop.word), crop.rank, np.empty((0, 4, 2), np.float32), 0, 0.0)
    split = split_map(upright, box, length, splitter=splitter)
    quads, usable = crop.frame.characters(split.boxes_xyxy)
    confidence = split.confidence if usable and len(quads) else 0.0
    return FoundCharacters((crop.scene, crop.word), crop.rank, quads, split.num_found, confidence)


def _wanting_count(scene: Scene) -> Scene:
    """Make the words that only lack a transcription cared for, which has their characters counted."""
    words = (
        replace(word, dont_care=False, untranscribed=False) if word.untranscribed else word for word in scene.words
    )
    return replace(scene, words=tuple(words))


def _needs_teacher(word: Word) -> bool:
    return num_missing_characters(word) > 0 or is_to_be_counted(word)


def _split_batch(batch: Sequence[WordCrop], maps: NDArray[np.uint8], splitter: Splitter) -> list[FoundCharacters]:
    return [split_crop(crop, levels, splitter) for crop, levels in zip(batch, maps, strict=True)]


def _keep_best(best: dict[tuple[int, int], FoundCharacters], batch: Sequence[FoundCharacters]) -> None:
    """Keep the crop of each word that is trusted most; of equal ones, that of the likelier direction."""
    for found in batch:
        rival = best.get(found.word)
        if rival is None or (found.confidence, -found.rank) > (rival.confidence, -rival.rank):
            best[found.word] = found


def _labelled(
    scenes: Sequence[Scene], best: dict[tuple[int, int], FoundCharacters], *, seconds: float
) -> tuple[list[Scene], LabelCounts]:
    labelled, num_words, confidence_sum, under_half = [], 0, 0.0, 0
    for index, scene in enumerate(scenes):
        words = list(scene.words)
        for number, word in enumerate(words):
            if not _needs_teacher(word):
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
    quads = split_evenly(word.polygon_xy, word.text or _USUAL_CHARACTER * _usual_length(word))
    # Parts of a word that is not convex may cross themselves; a label file could not hold them.
    known = quads if all(is_simple(quad) for quad in quads) else None
    return replace(word, character_quads_xy=known, confidence=LEAST_CONFIDENCE)


def _usual_length(word: Word) -> int:
    """How many characters of the usual shape fit side by side along the longer sides of a word."""
    wide, tall = mean_sides(polygon_to_strips(word.polygon_xy).astype(np.float64))
    return max(1, round(max(wide, tall) / (_USUAL_WIDTH * max(min(wide, tall), 1e-6))))
