import numpy as np

from craft.studies.pixel_locations import INSIDE, NEAR, PLAIN, TEXTURE, map_places, place_shares

NO_QUADS = np.zeros((0, 4, 2), dtype=np.float32)
NO_WORDS = np.zeros(0, dtype=np.int64)


def box(left, top, right, bottom):
    return np.array([[[left, top], [right, top], [right, bottom], [left, bottom]]], dtype=np.float32)


def test_a_word_on_plain_ground_has_an_inside_a_neighbourhood_and_plain_ground_beyond():
    image = np.full((80, 160, 3), 90, dtype=np.uint8)
    characters = np.concatenate([box(40, 20, 60, 40), box(60, 20, 80, 40)])  # sides of 20 pixels, 10 map pixels

    places = map_places(image, box(40, 20, 80, 40), np.zeros(1, np.int64), characters, np.zeros(2, np.int64))

    assert places.shape == (40, 80)
    assert (places[11:19, 21:39] == INSIDE).all()
    assert places[15, 45] == NEAR  # 3 characters would be 30 map pixels; this is 5 from the word
    assert places[15, 58] == NEAR
    assert places[15, 62] == PLAIN
    assert places[15, 2] == NEAR
    assert (places != TEXTURE).all()


def test_noise_is_texture_and_a_dont_care_word_makes_no_neighbourhood():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    image = np.repeat(np.repeat(image[::4, ::4], 4, axis=0), 4, axis=1)

    places = map_places(image, box(10, 10, 30, 20), np.zeros(1, np.int64), NO_QUADS, NO_WORDS)

    assert (places == TEXTURE).mean() > 0.9
    assert not np.isin(places, (INSIDE, NEAR)).any()


def test_shares_follow_weights():
    places = np.array([[INSIDE, NEAR], [NEAR, PLAIN]], dtype=np.uint8)

    shares = place_shares(np.array([[1.0, 2.0], [1.0, 0.0]]), places)

    np.testing.assert_allclose(shares, [0.25, 0.75, 0, 0])


def test_nothing_kept_has_no_shares():
    np.testing.assert_array_equal(place_shares(np.zeros((2, 2)), np.zeros((2, 2), dtype=np.uint8)), np.zeros(4))
