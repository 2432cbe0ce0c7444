"""The full preset: a background, hard negatives, blocks of text, occluders, light, a camera, and honest labels."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from craft.geometry import visible_shares
from craft.scene import Word
from craft.synth.backgrounds import photograph_background, surface_background
from craft.synth.blocks import add_block
from craft.synth.camera import Shot, choose_shot, photograph
from craft.synth.canvas import CELL, Canvas, PaintedWord, new_pose
from craft.synth.clutter import add_negative, add_occluder
from craft.synth.fonts import font_pool
from craft.synth.placement import letter_height
from craft.synth.presets import FullSettings
from craft.synth.rendered_scene import Image, RenderedScene
from craft.synth.rooms import room_background
from craft.synth.text import script_label

# A word of which more than this is covered, or more than this lies outside the image, cannot be read.
COVERED_LIMIT = 0.3
OUTSIDE_LIMIT = 0.1


def render_full(settings: FullSettings, seed: int, index: int) -> RenderedScene:
    """Render scene `index` of the full preset, the same on every call with the same fonts installed."""
    generator = np.random.default_rng([seed, index, 2])
    canvas, foreign = _new_canvas(generator, settings)
    shot = choose_shot(generator, settings.camera)
    negatives = int(generator.integers(settings.negative_count[0], settings.negative_count[1] + 1))
    before = round(0.6 * negatives)
    for _ in range(before):
        add_negative(canvas, over_everything=not foreign)
    low, high = settings.words
    wanted, failures = int(generator.integers(low, high + 1)), 0
    while len(canvas.words) < wanted and failures < 10:
        failures += not add_block(canvas)
    for _ in range(negatives - before):
        add_negative(canvas, over_everything=False)
    covered = add_occluder(canvas) if generator.random() < settings.occluders else None
    image, gain = photograph(generator, canvas.image, shot)
    lines = {line: number for number, line in enumerate(dict.fromkeys(word.item.line for word in canvas.words))}
    labelled = [(word, _label(word, covered, settings, shot, gain, lines[word.item.line])) for word in canvas.words]
    kept = [(word, label) for word, label in labelled if label is not None]
    words = [label for _, label in kept] + [Word(polygon, None, "", dont_care=True) for polygon in foreign]
    fonts = [word.item.typeface.name for word, _ in kept] + [""] * len(foreign)
    return RenderedScene(image, tuple(words), tuple(fonts))


def _new_canvas(generator: Generator, settings: FullSettings) -> tuple[Canvas, list[NDArray[np.float32]]]:
    """An empty scene and the words that its photograph already has."""
    height, width = settings.size_hw
    foreign: list[NDArray[np.float32]] = []
    if settings.photographs is not None:
        image, foreign = photograph_background(
            generator, settings.photographs, settings.size_hw, labelled=settings.photograph_labels
        )
    elif settings.rooms and generator.random() < settings.rooms:
        image = room_background(generator, settings.size_hw)
    else:
        image = surface_background(generator, settings.size_hw)
    pool = font_pool(settings.font_folders, system=settings.system_fonts, only=settings.families)
    wall = new_pose(generator, settings, generator.uniform(0.3, 0.7, 2) * [width, height])
    taken = np.zeros((height // CELL, width // CELL), np.uint8)
    canvas = Canvas(generator, settings, pool, np.ascontiguousarray(image), wall, np.array(np.linalg.inv(wall)), taken)
    for polygon in foreign:
        cv2.fillConvexPoly(canvas.taken, cv2.convexHull(np.round(polygon / CELL).astype(np.int32)), 1)
    return canvas, foreign


def _label(
    word: PaintedWord, covered: Image | None, settings: FullSettings, shot: Shot, gain: float, line: int
) -> Word | None:
    """The label a person would give a word: don't care where it cannot be read, none where it is outside the image."""
    placed = word.placed
    height, width = settings.size_hw
    inside = placed.polygon_xy.min() >= 0 and (placed.polygon_xy <= [width, height]).all()
    visible = 1.0 if inside else float(visible_shares([placed.polygon_xy], size_hw=settings.size_hw)[0])
    if visible == 0:
        return None
    hidden = visible < 1 - OUTSIDE_LIMIT or _covered_share(placed.polygon_xy, covered) > COVERED_LIMIT
    return Word(
        placed.polygon_xy,
        placed.text,
        script_label(placed.text, word.item.script),
        dont_care=hidden or not _readable(word, settings, shot, gain),
        character_quads_xy=placed.character_quads_xy,
        line=line,
    )


def _readable(word: PaintedWord, settings: FullSettings, shot: Shot, gain: float) -> bool:
    height = letter_height(word.placed.polygon_xy) / shot.shrink
    blur = np.hypot(shot.blur, 0.3 * shot.motion) / shot.shrink
    low = settings.readable_height > 0 and height < max(settings.readable_height, 5.0 * blur)
    needed = settings.readable_contrast + 0.8 * shot.noise
    faint = settings.readable_contrast > 0 and word.contrast * min(gain, 1.0) < needed
    return not (low or faint)


def _covered_share(polygon_xy: NDArray[np.float32], covered: Image | None) -> float:
    """Share of a word that an occluder hides."""
    if covered is None:
        return 0.0
    low = np.maximum(np.floor(polygon_xy.min(axis=0)).astype(int), 0)
    high = np.ceil(polygon_xy.max(axis=0)).astype(int) + 1
    window = covered[low[1] : high[1], low[0] : high[0]]
    if not window.any():
        return 0.0
    inside = np.zeros(window.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(polygon_xy - low).astype(np.int32)], 1)
    return float((window * (inside / 255.0)).sum() / max(int(inside.sum()), 1))
