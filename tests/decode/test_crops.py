"""Upright crops: what they show, their size and their order."""

import numpy as np

from craft.decode.crops import text_crops
from craft.decode.detections import Detections


def detections(*quads) -> Detections:
    return Detections(np.array(quads, np.float32).reshape(-1, 4, 2), np.ones(len(quads), np.float32))


def test_a_straight_word_is_cut_out_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)

    (crop,) = text_crops(image, detections([[10, 5], [50, 5], [50, 25], [10, 25]]))

    np.testing.assert_array_equal(crop, image[5:25, 10:50])


def test_a_tall_word_is_turned_so_that_its_top_is_on_the_left():
    image = np.zeros((60, 40, 3), np.uint8)
    image[5:15, 10:20] = 255  # the top of a box that is four times as high as wide

    (crop,) = text_crops(image, detections([[10, 5], [20, 5], [20, 45], [10, 45]]))

    assert crop.shape == (10, 40, 3)
    assert crop[:, :10].all()
    assert not crop[:, 10:].any()


def test_crops_of_lines_hold_their_words_in_reading_order():
    image = np.zeros((60, 120, 3), np.uint8)
    image[:30], image[30:] = 50, 200
    lower, right, left = ([[x, y], [x + 40, y], [x + 40, y + 16], [x, y + 16]] for x, y in ((5, 40), (55, 8), (5, 8)))

    words = text_crops(image, detections(lower, right, left))
    lines = text_crops(image, detections(lower, right, left), lines=True)

    assert [crop.mean() for crop in words] == [50, 50, 200]
    assert [(crop.shape[:2], crop.mean()) for crop in lines] == [((16, 90), 50), ((16, 40), 200)]


def test_no_words_give_no_crops_and_words_at_the_border_do_no_harm():
    image = np.full((20, 20, 3), 9, np.uint8)

    assert text_crops(image, detections()) == text_crops(image, detections(), lines=True) == []
    assert text_crops(image, detections([[-5, -5], [30, -5], [30, 8], [-5, 8]]))[0].shape == (13, 35, 3)
    assert text_crops(image, detections([[5, 5], [5, 5], [5, 5], [5, 5]]))[0].shape == (1, 1, 3)
