"""The quickstart's preset and what is written of it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from craft.geometry import signed_area
from craft.synth import preset, render_scene, write_set


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def test_a_scene_depends_on_seed_and_index_alone():
    settings = preset("quickstart")

    first = render_scene(settings, 3, 5)
    render_scene(settings, 0, 0)
    again = render_scene(settings, 3, 5)
    other = render_scene(settings, 4, 5)

    assert (first.image == again.image).all()
    assert [word.text for word in first.words] == [word.text for word in again.words]
    assert first.image.shape == other.image.shape
    assert (first.image != other.image).any()


def test_the_frozen_preset_writes_the_words_it_always_wrote():
    scene = render_scene(preset("quickstart"), 0, 0)

    assert [word.text for word in scene.words] == ["Serious", "choose", "Hate", "Falls", "ROB"]
    np.testing.assert_allclose(scene.words[0].polygon_xy[0], [165.02, 67.50], atol=0.2)


def test_every_word_lies_inside_with_one_quad_a_character():
    for index in range(12):
        scene = render_scene(preset("quickstart"), 1, index)
        height, width = scene.image.shape[:2]
        for word in scene.words:
            assert word.character_quads_xy is not None
            assert word.text is not None
            assert len(word.character_quads_xy) == len(word.text)
            assert (signed_area(word.character_quads_xy) > 0).all()
            assert word.polygon_xy.min() >= 0
            assert (word.polygon_xy <= [width, height]).all()


def test_the_same_bytes_with_one_and_two_workers(tmp_path):
    one = write_set(tmp_path / "one", settings=preset("quickstart"), count=3, seed=7, workers=1)
    two = write_set(tmp_path / "two", settings=preset("quickstart"), count=3, seed=7, workers=2)

    assert one == two
    assert _folder_hash(tmp_path / "one") == _folder_hash(tmp_path / "two")


def test_writes_the_layout_of_icdar2017(tmp_path):
    summary = write_set(tmp_path, settings=preset("quickstart"), count=2, seed=0, split="validation")

    lines = (tmp_path / "ch8_validation_localization_transcription_gt_v2" / "gt_img_1.txt").read_text("utf-8")
    image = cv2.imread(str(tmp_path / "ch8_validation_images" / "img_2.jpg"))
    first = lines.splitlines()[0].split(",", 9)
    assert image.shape == (512, 512, 3)
    assert [int(value) for value in first[:8]]
    assert first[8:] == ["Latin", "Serious"]
    assert summary.scenes == 2
    assert summary.words == sum(summary.scripts.values()) == sum(summary.fonts.values())


def test_refuses_an_unknown_preset_and_an_empty_set(tmp_path):
    with pytest.raises(ValueError, match="unknown preset 'quick'; use quickstart"):
        preset("quick")
    with pytest.raises(ValueError, match="at least 1, not 0"):
        write_set(tmp_path, settings=preset("quickstart"), count=0, seed=0)


def test_the_generator_needs_no_torch():
    script = (
        "import sys; sys.modules['torch'] = None; import craft.synth as generator;"
        "generator.render_scene(generator.preset('quickstart'), 0, 0)"
    )

    subprocess.run([sys.executable, "-c", script], check=True)
