"""Noise from a pool of numbers: as normal as asked, and different wherever one looks."""

import numpy as np
import pytest

from craft.datasets.colours import add_noise

GREY = np.full((256, 320, 3), 128, dtype=np.uint8)


@pytest.mark.parametrize("deviation", [2.55, 8.0, 15.3])
def test_noise_has_the_mean_spread_and_tails_of_normal_numbers(deviation):
    noise = add_noise(GREY, np.random.default_rng(1), deviation=deviation).astype(float) - 128

    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(np.hypot(deviation, np.sqrt(1 / 12)), rel=0.03)  # rounding adds its own
    assert (np.abs(noise) > 3 * deviation).mean() == pytest.approx(0.0027, abs=0.0025)


def test_neighbouring_pixels_rows_and_channels_do_not_go_together():
    noise = add_noise(GREY, np.random.default_rng(2), deviation=10).astype(float) - 128

    pairs = [
        (noise[:, 1:], noise[:, :-1]),
        (noise[1:], noise[:-1]),
        (noise[..., 0], noise[..., 1]),
    ]
    for one, other in pairs:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


def test_another_generator_gives_other_noise_and_the_same_the_same():
    first, again, other = (add_noise(GREY, np.random.default_rng(seed), deviation=10) for seed in (3, 3, 4))

    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02


def test_equals_the_sum_written_out_in_numpy():
    from craft.datasets import colours as module

    image = np.random.default_rng(5).integers(0, 256, (41, 37, 3), dtype=np.uint8)  # no whole number of stretches
    noisy = add_noise(image, np.random.default_rng(6), deviation=20.0)

    starts = np.random.default_rng(6).integers(module.POOL_SIZE - module.STRETCH, size=-(-image.size // module.STRETCH))
    places = np.concatenate([start + np.arange(module.STRETCH) for start in starts])[: image.size]
    added = np.floor(module.noise_pool()[places].astype(int) * round(20.0 / 28 * 256) / 256 + 0.5).reshape(image.shape)
    np.testing.assert_array_equal(noisy, np.clip(image + added, 0, 255).astype(np.uint8))


def test_levels_do_not_wrap_around():
    for level in (0, 255):
        flat = np.full((64, 64, 3), level, dtype=np.uint8)

        noisy = add_noise(flat, np.random.default_rng(7), deviation=15)

        assert np.abs(noisy.astype(int) - level).max() < 100
        assert (noisy == level).mean() > 0.45
