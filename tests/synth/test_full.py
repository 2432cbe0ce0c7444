"""The full preset: honest labels, many scripts, and the same bytes in any order."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from craft.geometry import signed_area
from craft.synth.fonts import font_pool
from craft.synth.presets import FullSettings, preset
from craft.synth.render import render_scene
from craft.synth.writer import write_dataset

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


@pytest.mark.parametrize("kind", sorted(FullSettings().negatives))
def test_every_kind_of_hard_negative_is_rendered_and_is_no_word(kind):
    settings = small(words=(0, 0), negatives={kind: 1.0}, negative_count=(4, 4), camera=QUIET, occluders=0)
    without = small(words=(0, 0), negatives={kind: 1.0}, negative_count=(0, 0), camera=QUIET, occluders=0)

    changed = [
        (render_scene(settings, seed, 0).image != render_scene(without, seed, 0).image).mean() for seed in range(3)
    ]

    assert max(changed) > 0.001
    assert render_scene(settings, 0, 0).words == ()


@pytest.mark.parametrize("script", ["Chinese", "Japanese", "Korean", "Arabic", "Bangla", "Hindi"])
def test_scripts_of_installed_fonts_are_rendered_with_exact_characters(script):
    if script not in font_pool((), system=True).families:
        pytest.skip(f"no font for {script} on this machine (fonts-noto-core and fonts-noto-cjk have them)")
    settings = small(scripts={script: 1.0}, system_fonts=True, layouts={"sign": 1.0, "vertical": 1.0})

    words = [word for index in range(4) for word in render_scene(settings, 0, index).words]

    assert sum(word.script == script for word in words) > 3
    assert all(word.character_quads_xy is not None and len(word.character_quads_xy) > 0 for word in words)


def test_photographs_with_labels_keep_their_words_clear(tmp_path):
    write_dataset(tmp_path / "photographs", settings=small(words=(3, 3)), count=2, seed=5)
    settings = small(photographs=str(tmp_path / "photographs"), photograph_labels=True, negative_count=(0, 0))

    scene = render_scene(settings, 0, 0)

    foreign = [word for word in scene.words if word.text is None]
    assert all(word.dont_care for word in foreign)


def test_missing_fonts_are_refused():
    with pytest.raises(ValueError, match="no fonts"):
        render_scene(small(font_folders=("no/such/folder",)), 0, 0)
    with pytest.raises(ValueError, match="no font family begins with Nobody"):
        render_scene(small(families=("Nobody",)), 0, 0)


def test_only_named_font_families_are_used():
    scenes = [render_scene(small(families=("DejaVu Serif",)), 0, index) for index in range(4)]

    assert {font.partition("-")[0] for scene in scenes for font in scene.fonts} == {"DejaVuSerif"}
