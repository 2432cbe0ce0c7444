"""The full preset: labels that tell the truth, many scripts, and the same bytes whoever draws."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import matplotlib
import numpy as np
import pytest

from craft.config import DatasetSettings
from craft.datasets.reading import read_set
from craft.geometry import signed_area
from craft.synth import preset, render_scene, write_set, write_sheet
from craft.synth.fonts import load_typeface
from craft.synth.layouts import LAYOUTS
from craft.synth.placement import place_text
from craft.synth.presets import FullSettings
from craft.synth.typefaces import font_pool
from craft.training.datasets import read_scenes as read_training_scenes

TYPEFACE = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
QUIET = {"lighting": 0, "resample": 0, "defocus": 0, "motion": 0, "dark": 0, "bright": 0, "noise": 0, "jpeg": 0}


def small(**changes: Any) -> FullSettings:
    """The full preset, small, with the fonts of packages only."""
    settings = preset("full", {"size_hw": (256, 320), "words": (2, 10), "system_fonts": False, **changes})
    assert isinstance(settings, FullSettings)
    return settings


def test_a_scene_depends_on_seed_and_index_alone():
    settings = small()

    first = render_scene(settings, 3, 5)
    render_scene(settings, 9, 1)
    again = render_scene(settings, 3, 5)
    other = render_scene(settings, 3, 6)

    assert (first.image == again.image).all()
    assert [word.text for word in first.words] == [word.text for word in again.words]
    assert (first.image != other.image).any()


def test_the_same_bytes_with_one_and_four_workers(tmp_path):
    one = write_set(tmp_path / "one", settings=small(), count=8, seed=2, workers=1)
    four = write_set(tmp_path / "four", settings=small(), count=8, seed=2, workers=4)

    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert one == four
    assert len(files) == 18  # eight pictures, eight label files, scenes.jsonl, generator.json
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "four" / name).read_bytes() for name in files)


def test_both_label_files_read_back_as_the_words_drawn(tmp_path):
    settings = small()
    write_set(tmp_path, settings=settings, count=4, seed=1)

    layout = read_set(DatasetSettings(path=str(tmp_path), format="icdar2017"))
    exact = read_set(DatasetSettings(path=str(tmp_path / "scenes.jsonl")))

    assert not layout.problems
    assert not exact.problems
    assert not any(word.character_quads_xy is not None for scene in layout.scenes for word in scene.words)
    for index, (plain, full) in enumerate(zip(layout.scenes, exact.scenes, strict=True)):
        drawn = render_scene(settings, 1, index).words
        assert [word.dont_care for word in plain.words] == [word.dont_care for word in drawn]
        assert [word.text for word in full.words] == [word.text for word in drawn]
        for word, wanted in zip(full.words, drawn, strict=True):
            assert word.character_quads_xy is not None
            np.testing.assert_allclose(word.character_quads_xy, wanted.character_quads_xy, atol=0.006)


def test_a_drawn_set_is_read_with_its_characters_unless_a_format_leaves_them_out(tmp_path):
    write_set(tmp_path, settings=small(), count=2, seed=1)
    by_default: list[str] = []
    as_layout: list[str] = []

    scenes = read_training_scenes(DatasetSettings(path=str(tmp_path)), on_error="fail", say=by_default.append)
    read_training_scenes(DatasetSettings(path=str(tmp_path), format="icdar2017"), on_error="fail", say=as_layout.append)

    words = [word for scene in scenes for word in scene.words]
    known = sum(not word.dont_care for word in words)
    assert known
    assert all(word.character_quads_xy is not None for word in words)
    assert f"{known:,} with characters" in by_default[0]
    assert len(by_default) == 1
    assert "0 with characters" in as_layout[0]
    assert "remove `format`" in as_layout[1]


def test_words_have_one_clockwise_quad_a_character():
    for index in range(15):
        for word in render_scene(small(), 4, index).words:
            assert word.text is not None
            assert word.character_quads_xy is not None
            assert len(word.character_quads_xy) > 0
            assert (signed_area(word.character_quads_xy) > 0).all()
            assert signed_area(word.polygon_xy) > 0
            assert word.script in ("Latin", "Arabic", "Cyrillic", "Greek", "Mixed", "Symbols")


def test_a_scene_without_text_has_no_words():
    scene = render_scene(small(words=(0, 0)), 0, 0)

    assert scene.words == ()
    assert scene.image.shape == (256, 320, 3)


def test_words_too_low_or_too_faint_become_dont_care():
    low = [render_scene(small(cap_height=(4.0, 6.0), layouts={"word": 1.0}), 0, index) for index in range(4)]
    faint = [render_scene(small(readable_contrast=255.0), 0, index) for index in range(4)]
    kept = [render_scene(small(readable_contrast=0.0, readable_height=0.0, occluders=0), 0, i) for i in range(4)]

    assert all(word.dont_care for scene in low for word in scene.words)
    assert all(word.dont_care for scene in faint for word in scene.words)
    assert not all(word.dont_care for scene in kept for word in scene.words)


def test_no_perspective_and_no_rotation_leave_upright_rectangles():
    settings = small(perspective=0, rotation=0, turned=0, layouts={"word": 1.0}, scripts={"Latin": 1.0})

    for index in range(6):
        for word in render_scene(settings, 0, index).words:
            top, bottom = word.polygon_xy[1] - word.polygon_xy[0], word.polygon_xy[2] - word.polygon_xy[3]
            np.testing.assert_allclose(top, bottom, atol=1e-2)
            assert abs(top[1]) < 1e-2


def test_curved_words_are_polygons_whose_characters_follow_the_arc():
    settings = small(layouts={"curved": 1.0}, scripts={"Latin": 1.0}, cap_height=(14, 20))
    words = [word for index in range(8) for word in render_scene(settings, 0, index).words]
    bent = [word for word in words if len(word.polygon_xy) > 4]

    assert len(bent) > 5
    for word in bent:
        assert word.character_quads_xy is not None
        inside = [
            cv2.pointPolygonTest(word.polygon_xy.reshape(-1, 1, 2), tuple(map(float, quad.mean(axis=0))), True)
            for quad in word.character_quads_xy
        ]
        assert min(inside) > -1.0


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_short_words_are_bent_no_further_than_their_letters_allow(side):
    class Strongest:
        """A source of randomness that bends as far as it may, to one side."""

        def __init__(self):
            self.generator = np.random.default_rng(0)

        def uniform(self, low, high, *size):
            return high if (low, high) == (0.5, 2.6) else self.generator.uniform(low, high, *size)

        def random(self):
            return 0.5 if side > 0 else 0.9

    writer = SimpleNamespace(
        generator=Strongest(), script="Latin", typeface=load_typeface(TYPEFACE), line=lambda _count: ["gj!"]
    )
    writer.generator.integers = lambda *_range: 1
    writer.shaped = lambda text: writer.typeface.shape(text)

    (item,) = LAYOUTS["curved"](writer, 20.0)

    quads = place_text(
        item.shaped, item.typeface, size=20.0, matrix=np.eye(3), origin_xy=item.origin_xy, bend=item.bend
    ).character_quads_xy
    turns = np.roll(quads, -1, axis=1) - quads
    following = np.roll(turns, -1, axis=1)
    assert item.bend * side > 0
    assert (turns[..., 0] * following[..., 1] - turns[..., 1] * following[..., 0] > 0).all()


@pytest.mark.parametrize("kind", sorted(FullSettings().negatives))
def test_every_kind_of_hard_negative_is_drawn_and_is_no_word(kind):
    settings = small(words=(0, 0), negatives={kind: 1.0}, negative_count=(4, 4), camera=QUIET, occluders=0)
    without = small(words=(0, 0), negatives={kind: 1.0}, negative_count=(0, 0), camera=QUIET, occluders=0)

    changed = [
        (render_scene(settings, seed, 0).image != render_scene(without, seed, 0).image).mean() for seed in range(3)
    ]

    assert max(changed) > 0.001
    assert render_scene(settings, 0, 0).words == ()


@pytest.mark.parametrize("script", ["Chinese", "Japanese", "Korean", "Arabic", "Bangla", "Hindi"])
def test_scripts_of_installed_fonts_are_drawn_with_exact_characters(script):
    if script not in font_pool((), system=True).families:
        pytest.skip(f"no font for {script} on this machine (fonts-noto-core and fonts-noto-cjk have them)")
    settings = small(scripts={script: 1.0}, system_fonts=True, layouts={"sign": 1.0, "vertical": 1.0})

    words = [word for index in range(4) for word in render_scene(settings, 0, index).words]

    assert sum(word.script == script for word in words) > 3
    assert all(word.character_quads_xy is not None and len(word.character_quads_xy) > 0 for word in words)


def test_the_sample_is_what_its_command_makes_of_it():
    sample = Path(__file__).parents[2] / "data" / "sample"

    reading = read_set(DatasetSettings(path=str(sample)))
    exact = read_set(DatasetSettings(path=str(sample / "scenes.jsonl")))

    assert not reading.problems
    assert not exact.problems
    assert len(reading.scenes) == len(exact.scenes) == 24
    assert sum(path.stat().st_size for path in sample.rglob("*.*")) < 3_000_000
    assert json.loads((sample / "generator.json").read_text("utf-8"))["settings"] == preset("sample").model_dump(
        mode="json"
    )


def test_photographs_with_labels_keep_their_words_clear(tmp_path):
    write_set(tmp_path / "photographs", settings=small(words=(3, 3)), count=2, seed=5)
    settings = small(photographs=str(tmp_path / "photographs"), photograph_labels=True, negative_count=(0, 0))

    scene = render_scene(settings, 0, 0)

    foreign = [word for word in scene.words if word.text is None]
    assert all(word.dont_care for word in foreign)


def test_settings_refuse_unknown_kinds_and_empty_weights():
    with pytest.raises(ValueError, match="unknown brick; known are bricks"):
        preset("full", {"negatives": {"brick": 1.0}})
    with pytest.raises(ValueError, match="one of them above 0"):
        preset("full", {"scripts": {"Latin": 0.0}})
    with pytest.raises(ValueError, match="multiples of 8"):
        preset("full", {"size_hw": (100, 101)})
    with pytest.raises(ValueError, match="no fonts"):
        render_scene(small(font_folders=("no/such/folder",)), 0, 0)
    with pytest.raises(ValueError, match="no font family begins with Nobody"):
        render_scene(small(families=("Nobody",)), 0, 0)


def test_only_the_families_named_are_used():
    scenes = [render_scene(small(families=("DejaVu Serif",)), 0, index) for index in range(4)]

    assert {font.partition("-")[0] for scene in scenes for font in scene.fonts} == {"DejaVuSerif"}


def test_a_contact_sheet_is_written_and_a_bad_path_refused(tmp_path):
    write_sheet(tmp_path / "sheet.png", settings=small(), count=3, seed=0, columns=2)

    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * 307, 2 * 384, 3)
    with pytest.raises(ValueError, match="cannot be written"):
        write_sheet(tmp_path / "missing" / "sheet.png", settings=small(), count=1, seed=0)
