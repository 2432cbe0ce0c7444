"""Synthetic datasets on disk, in the ICDAR2017 layout with exact characters and how they were made; contact sheets."""

import json
import multiprocessing
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from tqdm import tqdm

from craft.atomic_files import write_atomic
from craft.datasets.formats import FORMATS, UNFINISHED
from craft.datasets.jsonlines import is_generated, read_json_lines, write_scenes
from craft.datasets.label_format import Match
from craft.geometry import quad_around
from craft.images.drawing import encode_image, fit_long_side, tile_images, write_image
from craft.memory import keep_freed_memory
from craft.scene import Scene, Word
from craft.synth.fonts import font_pool, licences
from craft.synth.placement import letter_height
from craft.synth.presets import GeneratorSettings, QuickstartSettings
from craft.synth.quickstart import FONTS as QUICKSTART_FONTS
from craft.synth.render import render_scene
from craft.synth.rendered_scene import Image, RenderedScene
from craft.synth.typeface import bundled_typeface

FOLDERS = {
    "train": ("ch8_training_images_1", "ch8_training_localization_transcription_gt_v2"),
    "validation": ("ch8_validation_images", "ch8_validation_localization_transcription_gt_v2"),
}
WORD_LISTS = "frequent words from wordfreq 3.1.1 by Robyn Speer, CC BY-SA 4.0"
_HEIGHT_EDGES = (8, 12, 16, 24, 32, 48, 64, 96, 128)
Tally = Counter[tuple[str, str]]  # by kind of count and what is counted
_Written = tuple[Scene, Tally]
WORD, CHARACTER, DONT_CARE = (0, 220, 0), (255, 220, 0), (255, 40, 40)
_SIDE = 384  # longer side of a scene on the sheet, pixels


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """Counts over a written dataset: words per script and typeface, cared-for words per height ("12-16" pixels)."""

    scenes: int = 0
    words: int = 0
    dont_care: int = 0
    characters: int = 0
    scripts: dict[str, int] = field(default_factory=dict)
    fonts: dict[str, int] = field(default_factory=dict)
    heights: dict[str, int] = field(default_factory=dict)


def write_dataset(
    out: str | Path,
    *,
    settings: GeneratorSettings,
    count: int,
    seed: int,
    workers: int = 1,
    split: Literal["train", "validation"] = "train",
    progress: bool = False,
) -> DatasetSummary:
    """Write scenes in the ICDAR2017 layout, with `scenes.jsonl` (exact characters) and `generator.json` beside them.

    Where these are there for the other split, those of this one are called scenes_validation.jsonl and so on.
    `generator.json` records settings, counts, and the fonts and word lists used, with their licences. The bytes do not
    depend on `workers`, the processes that render. Scenes of the split that are there from before are removed.
    ValueError if the folder holds a dataset of another origin, which `scenes.jsonl` would hide.
    """
    if count < 1 or workers < 1:
        raise ValueError(f"count and workers must be at least 1, not {count} and {workers}")
    folder = Path(out)
    _refuse_other_origin(folder)
    ending = _ending_of_split(folder, split)
    for name in FOLDERS[split]:
        (folder / name).mkdir(parents=True, exist_ok=True)
    marker = write_atomic(folder / UNFINISHED, "craft synth has not finished writing this dataset.\n")
    _remove_scenes(folder, split, ending)
    write = partial(_write_scene, folder, settings, seed, split)
    tally: Tally = Counter()
    scenes: list[Scene] = []
    for scene, counts in tqdm(_map(write, count, workers), total=count, disable=not progress):
        scenes.append(scene)
        tally.update(counts)
    write_scenes(folder / f"scenes{ending}.jsonl", scenes)
    summary = _summary(tally, count)
    record = {
        "seed": seed,
        "count": count,
        "settings": settings.model_dump(mode="json"),
        "summary": asdict(summary),
        "font_licences": _licences(settings, summary),
        "word_lists": WORD_LISTS,
    }
    write_atomic(folder / f"generator{ending}.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    marker.unlink()
    return summary


def _refuse_other_origin(folder: Path) -> None:
    ours = is_generated(folder) or (folder / UNFINISHED).is_file()
    if folder.is_dir() and not ours and any(entry.recognise(folder) != Match.NONE for entry in FORMATS.values()):
        raise ValueError(f"{folder}: holds a dataset that craft synth did not write; give another folder")


def _remove_scenes(folder: Path, split: str, ending: str) -> None:
    """Remove the scenes that an earlier dataset of the split wrote, which may have been more."""
    path = folder / f"scenes{ending}.jsonl"
    images, labels = FOLDERS[split]
    for scene in read_json_lines(path).scenes if path.exists() else ():
        name = Path(scene.image_path).name
        (folder / images / name).unlink(missing_ok=True)
        (folder / labels / f"gt_{Path(name).stem}.txt").unlink(missing_ok=True)


def _ending_of_split(folder: Path, split: str) -> str:
    """What tells this split's files from those of the other one, which came first; "" where it did not."""
    path = folder / "scenes.jsonl"
    line = path.read_bytes().partition(b"\n")[0] if path.exists() else b""
    others = [images for name, (images, _labels) in FOLDERS.items() if name != split]
    return f"_{split}" if any(images.encode() in line for images in others) else ""


def _map(write: Callable[[int], _Written], count: int, workers: int) -> Iterator[_Written]:
    if workers == 1:
        yield from map(write, range(count))
        return
    context = multiprocessing.get_context("spawn")  # a forked child would inherit threads of whoever calls
    with ProcessPoolExecutor(workers, mp_context=context, initializer=keep_freed_memory) as pool:
        yield from pool.map(write, range(count))


def _write_scene(folder: Path, settings: GeneratorSettings, seed: int, split: str, index: int) -> _Written:
    cv2.setNumThreads(1)
    rendered = render_scene(settings, seed, index)
    images, labels = FOLDERS[split]
    name = f"img_{index + 1}"
    image_path = folder / images / f"{name}.jpg"
    image_path.write_bytes(encode_image(rendered.image, quality=92))
    lines = "".join(_label_line(word) + "\n" for word in rendered.words)
    (folder / labels / f"gt_{name}.txt").write_text(lines, encoding="utf-8")
    words = tuple(_rounded(word) for word in rendered.words)
    return Scene(str(image_path), words, name), _tally(rendered)


def _tally(rendered: RenderedScene) -> Tally:
    tally: Tally = Counter()
    for word, font in zip(rendered.words, rendered.fonts, strict=True):
        tally["script", word.script or "None"] += 1
        tally["font", font] += bool(font)
        tally["count", "dont_care" if word.dont_care else "cared"] += 1
        if not word.dont_care and word.character_quads_xy is not None:
            tally["count", "characters"] += len(word.character_quads_xy)
            tally["height", _height_key(letter_height(word.polygon_xy))] += 1
    return tally


def _rounded(word: Word) -> Word:
    """The word with coordinates of two decimals, enough for a file."""
    quads = None if word.character_quads_xy is None else np.round(word.character_quads_xy, 2)
    return replace(word, polygon_xy=np.round(word.polygon_xy, 2), character_quads_xy=quads)


def _licences(settings: GeneratorSettings, summary: DatasetSummary) -> dict[str, str]:
    """Licences of the fonts that were used."""
    if isinstance(settings, QuickstartSettings):
        known = {face.name: face.names()["licence"] for face in map(bundled_typeface, QUICKSTART_FONTS)}
    else:
        known = licences(font_pool(settings.font_folders, system=settings.system_fonts, only=settings.families))
    return {name: known[name] for name in summary.fonts}


def _label_line(word: Word) -> str:
    """A word as a line of an ICDAR2017 label file: eight integers, script, transcription."""
    corners = ",".join(str(round(float(value))) for value in quad_around(word.polygon_xy).ravel())
    return f"{corners},{word.script or 'None'},{'###' if word.dont_care else word.text}"


def _height_key(height: float) -> str:
    above = bisect_right(_HEIGHT_EDGES, height)
    return f"{(0, *_HEIGHT_EDGES)[above]}-{(*_HEIGHT_EDGES, '')[above]}"


def _summary(tally: Tally, count: int) -> DatasetSummary:
    def of(kind: str) -> dict[str, int]:
        return {name: number for (key, name), number in sorted(tally.items()) if key == kind and number}

    counts = of("count")
    heights = of("height")
    return DatasetSummary(
        scenes=count,
        words=counts.get("dont_care", 0) + counts.get("cared", 0),
        dont_care=counts.get("dont_care", 0),
        characters=counts.get("characters", 0),
        scripts=of("script"),
        fonts=of("font"),
        heights=dict(sorted(heights.items(), key=lambda item: int(item[0].partition("-")[0]))),
    )


def write_contact_sheet(
    path: str | Path, *, settings: GeneratorSettings, count: int, seed: int, columns: int = 8
) -> None:
    """Render the first `count` scenes of a dataset and write them as one image, in the format of the ending of `path`.

    Words are outlined green, characters yellow, don't-care words red. ValueError if it cannot be written.
    """
    tiles = [_tile(render_scene(settings, seed, index)) for index in range(count)]
    write_image(path, tile_images(tiles, columns=columns), quality=95)


def _tile(scene: RenderedScene) -> Image:
    tile = fit_long_side(scene.image, _SIDE)
    scale = _SIDE / max(scene.image.shape[:2])
    for word in scene.words:
        if not word.dont_care and word.character_quads_xy is not None:
            _outline(tile, word.character_quads_xy * scale, CHARACTER)
        _outline(tile, word.polygon_xy[None] * scale, DONT_CARE if word.dont_care else WORD)
    return tile


def _outline(tile: Image, polygons_xy: np.ndarray, colour: tuple[int, int, int]) -> None:
    fixed = np.round(polygons_xy * 16).astype(np.int32)
    cv2.polylines(tile, list(fixed), True, colour, 1, cv2.LINE_AA, 4)
