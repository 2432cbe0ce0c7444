import numpy as np

from craft.studies.pixel_locations import INSIDE, NEAR, PLAIN, TEXTURE, locate_pixels, location_shares

NO_QUADS = np.zeros((0, 4, 2), dtype=np.float32)
NO_WORDS = np.zeros(0, dtype=np.int64)


def box(left, top, right, bottom):
    return np.array([[[left, top], [right, top], [right, bottom], [left, bottom]]], dtype=np.float32)


def test_a_word_on_plain_background_has_an_inside_and_a_neighbourhood():
    image = np.full((80, 160, 3), 90, dtype=np.uint8)
    characters = np.concatenate([box(40, 20, 60, 40), box(60, 20, 80, 40)])  # sides of 20 pixels, 10 map pixels

    locations = locate_pixels(image, box(40, 20, 80, 40), np.zeros(1, np.int64), characters, np.zeros(2, np.int64))

    assert locations.shape == (40, 80)
    assert (locations[11:19, 21:39] == INSIDE).all()
    assert locations[15, 45] == NEAR  # 3 characters would be 30 map pixels; this is 5 from the word
    assert locations[15, 58] == NEAR
    assert locations[15, 62] == PLAIN
    assert locations[15, 2] == NEAR
    assert (locations != TEXTURE).all()


def test_noise_is_texture_and_a_dont_care_word_has_no_neighbourhood():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    image = np.repeat(np.repeat(image[::4, ::4], 4, axis=0), 4, axis=1)

    locations = locate_pixels(image, box(10, 10, 30, 20), np.zeros(1, np.int64), NO_QUADS, NO_WORDS)

    assert (locations == TEXTURE).mean() > 0.9
    assert not np.isin(locations, (INSIDE, NEAR)).any()


def test_shares_follow_weights():
    locations = np.array([[INSIDE, NEAR], [NEAR, PLAIN]], dtype=np.uint8)

    shares = location_shares(np.array([[1.0, 2.0], [1.0, 0.0]]), locations)

    np.testing.assert_allclose(shares, [0.25, 0.75, 0, 0])


def test_shares_are_0_where_nothing_is_kept():
    np.testing.assert_array_equal(location_shares(np.zeros((2, 2)), np.zeros((2, 2), dtype=np.uint8)), np.zeros(4))
