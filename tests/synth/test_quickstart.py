"""The quickstart preset: frozen, inside the image, without torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from craft.geometry import signed_area
from craft.synth.presets import preset
from craft.synth.render import render_scene


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


def test_the_generator_needs_no_torch():
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from craft.synth.presets import preset\nfrom craft.synth.render import render_scene\n"
        "render_scene(preset('quickstart'), 0, 0)"
    )

    subprocess.run([sys.executable, "-c", script], check=True)
