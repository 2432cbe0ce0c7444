"""Changes of colour: a seed decides, kinds do not hang together, nothing moves."""

import numpy as np
import pytest

from craft.config import AugmentSettings
from craft.datasets.colours import change_colours, jitter_colours

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


def slowly_jittered(image, brightness, contrast, saturation, hue):
    """The four changes one after the other in float64, as they read."""
    luma = np.array([0.299, 0.587, 0.114])
    to_yiq = np.array([luma, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    levels = image.astype(np.float64) * brightness
    mean = (levels @ luma).mean()
    levels = mean + contrast * (levels - mean)
    grey = (levels @ luma)[..., None]
    levels = grey + saturation * (levels - grey)
    y, i, q = np.moveaxis(levels @ to_yiq.T, -1, 0)
    chroma = (i + 1j * q) * np.exp(-2j * np.pi * hue)
    turned = np.stack([y, chroma.real, chroma.imag], axis=-1) @ np.linalg.inv(to_yiq).T
    return np.clip(np.rint(turned), 0, 255)


@pytest.mark.parametrize(
    "factors", [(1.3, 0.7, 1.4, 0.08), (0.6, 1.4, 0.5, -0.08), (1.4, 1.4, 1.5, 0.03), (1, 1, 1, 0)]
)
def test_one_matrix_jitters_as_the_four_changes_in_turn(factors):
    brightness, contrast, saturation, hue = factors

    jittered = jitter_colours(IMAGE, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)

    assert np.abs(jittered - slowly_jittered(IMAGE, *factors)).max() <= 1


def test_greys_keep_their_level_under_saturation_and_hue():
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)

    turned = jitter_colours(grey, brightness=1, contrast=1, saturation=1.5, hue=0.08)

    assert np.abs(turned.astype(int) - grey).max() <= 1


def test_a_turn_of_hue_leads_from_red_towards_yellow():
    red = np.full((4, 4, 3), (200, 40, 40), dtype=np.uint8)

    turned = jitter_colours(red, brightness=1, contrast=1, saturation=1, hue=0.05)[0, 0].astype(int)

    assert turned[1] > 40 > turned[2]
