"""Layouts: something in every script, and no bend that letters cannot follow."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

from craft.synth.fonts import font_pool
from craft.synth.layouts import LAYOUTS, arrange
from craft.synth.placement import place_text
from craft.synth.text import TextSampler
from craft.synth.typeface import load_typeface

TYPEFACE = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def test_every_layout_writes_something_in_every_script_with_a_font():
    pool = font_pool((), system=False)
    generator = np.random.default_rng(0)
    for script in pool.families:
        for kind in LAYOUTS:
            sampler = TextSampler(generator, script, pool.choose(generator, script), "mixed")

            items = arrange(kind, sampler, size=20.0)

            assert items
            assert all(not np.isnan(item.shaped.boxes_xyxy).any() for item in items)


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

    sampler = SimpleNamespace(
        generator=Strongest(), script="Latin", typeface=load_typeface(TYPEFACE), line=lambda _count: ["gj!"]
    )
    sampler.generator.integers = lambda *_range: 1
    sampler.shaped = lambda text: sampler.typeface.shape(text)

    (item,) = LAYOUTS["curved"](sampler, 20.0)

    quads = place_text(
        item.shaped, item.typeface, size=20.0, matrix=np.eye(3), origin_xy=item.origin_xy, bend=item.bend
    ).character_quads_xy
    turns = np.roll(quads, -1, axis=1) - quads
    following = np.roll(turns, -1, axis=1)
    assert item.bend * side > 0
    assert (turns[..., 0] * following[..., 1] - turns[..., 1] * following[..., 0] > 0).all()
