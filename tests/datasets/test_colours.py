"""Changes of colour: a seed decides, kinds do not hang together, nothing moves."""

import numpy as np
import pytest

from craft.config import AugmentSettings
from craft.datasets.colours import change_colours

NOTHING = AugmentSettings(colour=0, blur=0, noise=0, jpeg=0, grey=0)
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8)


def test_nothing_to_change_returns_the_image():
    assert change_colours(IMAGE, 5, NOTHING) is IMAGE


@pytest.mark.parametrize("kind", ["colour", "blur", "noise", "jpeg", "grey"])
def test_every_kind_changes_pixels_by_its_seed_and_leaves_the_input_alone(kind):
    settings = NOTHING.model_copy(update={kind: 1.0})
    before = IMAGE.copy()

    first = change_colours(IMAGE, 5, settings)
    other = change_colours(IMAGE, 6, settings)
    again = change_colours(IMAGE, 5, settings)

    assert first.shape == IMAGE.shape
    assert first.dtype == np.uint8
    assert (first != IMAGE).any()
    np.testing.assert_array_equal(first, again)
    if kind != "grey":  # grey has nothing to draw
        assert (first != other).any()
    np.testing.assert_array_equal(IMAGE, before)


def test_one_kind_happens_with_and_without_another():
    settings = NOTHING.model_copy(update={"grey": 0.5, "jpeg": 0.5})
    only_grey = change_colours(IMAGE, 0, NOTHING.model_copy(update={"grey": 1.0}))

    seen = set()
    for seed in range(60):
        changed = change_colours(IMAGE, seed, settings)
        grey = bool(np.ptp(changed.astype(int), axis=2).max() <= 2)
        seen.add((grey, not np.array_equal(changed, only_grey if grey else IMAGE)))

    assert seen == {(False, False), (False, True), (True, False), (True, True)}


def test_kinds_happen_as_often_as_asked():
    settings = NOTHING.model_copy(update={"grey": 0.2})

    small = np.ascontiguousarray(IMAGE[:4, :4])

    changed = sum(change_colours(small, seed, settings) is not small for seed in range(1000))

    assert 150 < changed < 250  # 200 expected, four standard deviations are 51
