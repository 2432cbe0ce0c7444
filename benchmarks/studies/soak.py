"""Draw many synthetic scenes, write none, and look each one over.

    python benchmarks/studies/soak.py --out FOLDER [--count 20000] [--first 0] [--preset full] [--seed 20] [--processes 2]

Every scene is checked: no exception; a picture of the size asked for; no word drawn with a font's box for missing
glyphs (every word is shaped once more, apart from the generator, and its glyphs are compared with that box); every
character quad finite, convex, clockwise and within its word. Words are counted per script, typeface and height.

Results are kept in FOLDER, one file for every 100 scenes. What is there is not drawn again: the same command goes on
where it was stopped, and parts can be drawn apart (--first 0 --count 5000, then --first 5000 --count 5000). The table
at the end is of everything in FOLDER. Its digest is of all pixels and labels: the same for any number of processes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uharfbuzz
from tqdm import tqdm

from craft.config_files import parse_settings
from craft.geometry import signed_area
from craft.scene import Word
from craft.synth.fonts import font_pool
from craft.synth.glyphs import flatten_glyph
from craft.synth.placement import letter_height
from craft.synth.presets import PRESETS, FullSettings, GeneratorSettings, preset
from craft.synth.render import render_scene
from craft.synth.rendered_scene import RenderedScene
from craft.synth.typeface import load_typeface

CHUNK = 100
HEIGHTS = (8, 12, 16, 24, 32, 48, 64, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--count", type=int, default=20_000, help="scenes, in hundreds (default 20000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first scene, in hundreds (default 0)")
    parser.add_argument("--preset", choices=PRESETS, default="full", help="kind of scenes (default full)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
    parser.add_argument("--seed", type=int, default=20, help="seed of the scenes (default 20)")
    parser.add_argument("--processes", type=int, default=2, help="processes that draw (default 2)")
    options = parser.parse_args()
    if options.first % CHUNK or options.count % CHUNK:
        raise SystemExit(f"--first and --count go in steps of {CHUNK}")

    changes = parse_settings(options.set)
    remember(options.out, {"preset": options.preset, "settings": changes, "seed": options.seed})
    starts = [
        start
        for start in range(options.first, options.first + options.count, CHUNK)
        if not chunk_file(options.out, start).exists()
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        waiting = [
            pool.submit(look_over, options.out, options.preset, changes, options.seed, start) for start in starts
        ]
        for done in tqdm(as_completed(waiting), total=len(waiting), desc=f"{CHUNK} scenes"):
            done.result()
    print(table(sorted(options.out.glob("scenes_*.json"))))


def remember(folder: Path, what: dict[str, Any]) -> None:
    """Write down what the folder holds, or refuse a folder that holds something else."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "soak.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != what:
        raise SystemExit(f"{folder} holds scenes of other settings: {path.read_text(encoding='utf-8')}; name another")
    path.write_text(json.dumps(what), encoding="utf-8")


def chunk_file(folder: Path, start: int) -> Path:
    return folder / f"scenes_{start:08d}.json"


def look_over(folder: Path, name: str, changes: dict[str, Any], seed: int, start: int) -> None:
    """Draw and check one file's worth of scenes."""
    cv2.setNumThreads(1)
    settings = preset(name, changes)
    counts: Counter[str] = Counter()
    faults: list[str] = []
    digest = hashlib.blake2b(digest_size=8)
    seconds = time.process_time()
    for index in range(start, start + CHUNK):
        try:
            scene = render_scene(settings, seed, index)
        except Exception:  # what this benchmark is for: any exception at all is a fault to report
            faults.append(f"scene {index}: {traceback.format_exc(limit=-3)}")
            continue
        faults += [f"scene {index}: {fault}" for fault in scene_faults(scene, settings)]
        counts.update(scene_counts(scene))
        update_digest(digest, scene)
    seconds = time.process_time() - seconds
    result = {"faults": faults, "counts": counts, "digest": digest.hexdigest(), "seconds": seconds}
    path = chunk_file(folder, start)
    path.with_suffix(".part").write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    os.replace(path.with_suffix(".part"), path)


def scene_faults(scene: RenderedScene, settings: GeneratorSettings) -> list[str]:
    size_hw = settings.size_hw if isinstance(settings, FullSettings) else (settings.size, settings.size)
    faults = []
    if scene.image.shape != (*size_hw, 3) or scene.image.dtype != np.uint8:
        faults.append(f"picture of {scene.image.shape} {scene.image.dtype}")
    paths: dict[str, tuple[str, int]] = {}
    if isinstance(settings, FullSettings):
        paths = typeface_paths(settings.font_folders, settings.system_fonts, settings.families)
    for word, font in zip(scene.words, scene.fonts, strict=True):
        faults += [f"{word.text!r} in {font}: {fault}" for fault in word_faults(word)]
        if font in paths and word.text and has_tofu(*paths[font], word.text):
            faults.append(f"{word.text!r} in {font}: a box for a missing glyph")
    return faults


def word_faults(word: Word) -> Iterable[str]:
    if not np.isfinite(word.polygon_xy).all() or signed_area(word.polygon_xy) <= 0:
        yield "word polygon not finite or not clockwise"
        return
    quads = word.character_quads_xy
    if quads is None or len(quads) == 0:
        if word.text is not None:
            yield "a text without characters"
        return
    if not np.isfinite(quads).all():
        yield "character quads that are not finite"
        return
    turns = np.roll(quads, -1, axis=1) - quads
    following = np.roll(turns, -1, axis=1)
    if (turns[..., 0] * following[..., 1] - turns[..., 1] * following[..., 0] <= 0).any():
        yield "a character quad that is not convex and clockwise"
    outline = word.polygon_xy.reshape(-1, 1, 2).astype(np.float32)
    reach = min(
        cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in quads.reshape(-1, 2)
    )  # below 0 outside; bent words are chords of their arc
    if reach < -1.0 - 0.25 * letter_height(word.polygon_xy):
        yield f"a character quad {-reach:.1f} pixels outside its word"


@cache
def typeface_paths(folders: tuple[str, ...], system: bool, only: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    """Path and face of every typeface by its name."""
    pool = font_pool(folders, system=system, only=only)
    records = [record for families in pool.families.values() for faces in families for record in faces]
    return {load_typeface(record.path, record.index).name: (record.path, record.index) for record in records}


@cache
def opened(path: str, face: int) -> tuple[uharfbuzz.Font, float]:
    opened_face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(path), face)
    return uharfbuzz.Font(opened_face), float(opened_face.upem)


def has_tofu(path: str, face: int, text: str) -> bool:
    """Whether shaping a text once more gives the glyph for what is missing, or one that looks like it."""
    buffer = uharfbuzz.Buffer()
    buffer.add_str(text)
    buffer.guess_segment_properties()
    uharfbuzz.shape(opened(path, face)[0], buffer, {})
    return any(info.codepoint == 0 or looks_missing(path, face, info.codepoint) for info in buffer.glyph_infos)


@cache
def looks_missing(path: str, face: int, glyph: int) -> bool:
    font, units = opened(path, face)
    missing, drawn = (flatten_glyph(font, number, units=units).points_xy for number in (0, glyph))
    return len(missing) > 0 and np.array_equal(missing, drawn)


def scene_counts(scene: RenderedScene) -> Counter[str]:
    counts: Counter[str] = Counter(scenes=1, words=len(scene.words))
    for word, font in zip(scene.words, scene.fonts, strict=True):
        cared = "dont care" if word.dont_care else "readable"
        height = letter_height(word.polygon_xy)
        counts[cared] += 1
        counts[f"script/{word.script or 'none'}/{cared}"] += 1
        counts[f"font/{font}"] += 1
        counts[f"height/{sum(height >= edge for edge in HEIGHTS)}/{cared}"] += 1
        counts["characters"] += 0 if word.character_quads_xy is None else len(word.character_quads_xy)
    return counts


def update_digest(digest: Any, scene: RenderedScene) -> None:
    digest.update(scene.image.tobytes())
    for word in scene.words:
        digest.update(f"{word.text} {word.script} {word.dont_care}".encode())
        digest.update(np.ascontiguousarray(word.polygon_xy).tobytes())
        digest.update(b"" if word.character_quads_xy is None else word.character_quads_xy.tobytes())


def table(files: list[Path]) -> str:
    counts: Counter[str] = Counter()
    faults: list[str] = []
    digest, seconds = hashlib.blake2b(digest_size=8), 0.0
    for file in files:
        result = json.loads(file.read_text(encoding="utf-8"))
        counts.update(result["counts"])
        faults += result["faults"]
        digest.update(result["digest"].encode())
        seconds += result["seconds"]
    fonts = sorted(
        ((number, key.removeprefix("font/")) for key, number in counts.items() if key.startswith("font/")), reverse=True
    )
    lines = [
        f"{counts['scenes']:,} scenes, {counts['words']:,} words ({counts['dont care']:,} don't care), "
        f"{counts['characters']:,} characters, {len(faults)} faults, digest {digest.hexdigest()}",
        f"{1000 * seconds / max(counts['scenes'], 1):.1f} ms of processor time a scene, checks included",
        "",
        "| script | readable | don't care |",
        "| --- | --- | --- |",
        *rows(counts, "script", names={}),
        "",
        "| height, pixels | readable | don't care |",
        "| --- | --- | --- |",
        *rows(counts, "height", names={str(place): height_name(place) for place in range(len(HEIGHTS) + 1)}),
        "",
        f"{len(fonts)} typefaces; most words: " + ", ".join(f"{name} {number:,}" for number, name in fonts[:5]),
        "fewest words: " + ", ".join(f"{name} {number:,}" for number, name in fonts[-5:]),
    ]
    return "\n".join(lines + [f"FAULT {fault}" for fault in faults[:20]])


def rows(counts: Counter[str], kind: str, *, names: dict[str, str]) -> list[str]:
    keys = sorted({key.split("/")[1] for key in counts if key.startswith(f"{kind}/")})
    if not names:
        keys.sort(key=lambda key: -counts[f"{kind}/{key}/readable"])
    return [
        f"| {names.get(key, key)} | {counts[f'{kind}/{key}/readable']:,} | {counts[f'{kind}/{key}/dont care']:,} |"
        for key in keys
    ]


def height_name(place: int) -> str:
    edges = (0, *HEIGHTS)
    return f"{edges[place]} to {HEIGHTS[place]}" if place < len(HEIGHTS) else f"{HEIGHTS[-1]} and more"


if __name__ == "__main__":
    main()
