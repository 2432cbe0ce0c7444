"""The decoder against a slow reference, against numbers checked by hand, and against words it drew itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from craft.decode.decode import decode_maps, keep_words, label_map, short_sides, to_pixels
from craft.geometry import polygon_iou, signed_area
from tests.decode.reference import Maps, decode_slowly, draw_word, level_word

ROOT = Path(__file__).parents[2]


def blank_maps(height: int = 40, width: int = 80) -> Maps:
    return np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)


def random_maps(seed: int, *, size_hw: tuple[int, int], steps: int = 0) -> Maps:
    """Blurred noise: components of every shape, at borders too; in few steps where scores are to tie."""
    generator = np.random.default_rng(seed)
    maps = []
    for _ in range(2):
        smooth = cv2.GaussianBlur(generator.normal(size=size_hw).astype(np.float32), (0, 0), generator.uniform(1, 6))
        scores = 0.3 + 0.3 * smooth / (smooth.std() + 1e-6) + generator.normal(0, 0.03, size_hw)
        maps.append((np.round(scores * steps) / steps if steps else scores).astype(np.float32))
    maps[1] -= np.float32(0.2)
    return maps[0], maps[1]


def assert_decodes_like_reference(region: np.ndarray, affinity: np.ndarray) -> int:
    words = decode_maps(region, affinity, text_threshold=0.7, low_text=0.4, link_threshold=0.4, rule="corner")
    quads, scores = decode_slowly(region, affinity, text=0.7, low=0.4, link=0.4)
    assert len(words) == len(quads)
    if quads:
        np.testing.assert_allclose(words.quads, np.array(quads), atol=5e-3)
        np.testing.assert_allclose(words.scores, scores, rtol=1e-5)
    return len(quads)


@pytest.mark.parametrize("steps", [0, 8])
def test_boxes_and_scores_are_those_of_the_slow_reference(steps):
    found = sum(assert_decodes_like_reference(*random_maps(seed, size_hw=(70, 110), steps=steps)) for seed in range(40))

    assert found > 200  # or the test has compared nothing


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), height=st.integers(1, 40), width=st.integers(1, 40), steps=st.sampled_from([0, 4])
)
def test_maps_of_any_shape_decode_like_the_reference(seed, height, width, steps):
    assert_decodes_like_reference(*random_maps(seed, size_hw=(height, width), steps=steps))


def test_even_dilation_is_centred_on_the_word_under_the_centre_rule_alone():
    # 3 x 12: area 36, so the dilation's side is 1 + int(2 sqrt(3)) = 4 and its anchor is half a pixel off the centre.
    # 4 x 12: side 5, which has a centre.
    for height, shift in ((3, 0.5), (4, 0.0)):
        region, affinity = blank_maps()
        region[10 : 10 + height, 20:32] = 1
        middle = [(20 + 31) / 2, (10 + 9 + height) / 2]

        centre = decode_maps(region, affinity, rule="centre").quads[0].mean(axis=0)
        corner = decode_maps(region, affinity, rule="corner").quads[0].mean(axis=0)

        np.testing.assert_array_equal(centre, middle)
        np.testing.assert_array_equal(corner, np.add(middle, shift))


def test_small_blobs_in_great_number_decode_like_the_reference():
    generator = np.random.default_rng(3)
    region, affinity = blank_maps(150, 150)
    for _ in range(120):  # many hulls of few corners: exact ties between rectangles
        row, column = generator.integers(0, 145, 2)
        region[row : row + generator.integers(2, 7), column : column + generator.integers(2, 7)] = 0.9

    assert assert_decodes_like_reference(region, affinity) > 20


def test_no_text_gives_no_words():
    words = decode_maps(*blank_maps())

    assert len(words) == 0
    assert words.quads.shape == (0, 4, 2)
    assert words.scores.shape == (0,)
    assert not label_map(words).any()


def test_nan_is_no_text():
    region, affinity = blank_maps()
    region[:] = np.nan
    affinity[:] = np.nan

    assert len(decode_maps(region, affinity)) == 0


def test_block_grows_by_the_rectangle_of_the_rule():
    region, affinity = blank_maps()
    region[10:14, 30:50] = 0.8  # 80 pixels, 20 x 4: reach int(2 sqrt(80 * 4 / 80)) = 4, two to each side

    words = decode_maps(region, affinity)

    np.testing.assert_array_equal(words.quads, [[[28, 8], [51, 8], [51, 15], [28, 15]]])
    np.testing.assert_allclose(words.scores, [0.8], rtol=1e-6)
    np.testing.assert_array_equal(words.boxes_xyxy, [[30, 10, 50, 14]])


def test_odd_reach_spreads_one_more_to_the_right_and_down():
    region, affinity = blank_maps()
    region[10:13, 30:50] = 0.8  # 60 pixels, 20 x 3: reach int(2 sqrt(3)) = 3

    np.testing.assert_array_equal(
        decode_maps(region, affinity, rule="corner").quads, [[[29, 9], [51, 9], [51, 14], [29, 14]]]
    )


def test_growing_stops_at_the_border_of_the_map():
    region, affinity = blank_maps()
    region[0:4, 60:80] = 0.8

    np.testing.assert_array_equal(
        decode_maps(region, affinity, rule="corner").quads, [[[58, 0], [79, 0], [79, 5], [58, 5]]]
    )


def test_nine_pixels_are_noise_and_ten_are_a_word():
    region, affinity = blank_maps()
    region[5:8, 5:8] = 0.9
    region[20:22, 40:45] = 0.9

    words = decode_maps(region, affinity)

    np.testing.assert_array_equal(words.boxes_xyxy, [[40, 20, 45, 22]])


def test_peak_at_the_threshold_is_enough():
    region, affinity = blank_maps()
    region[5:9, 5:15] = 0.5
    region[20:24, 5:15] = 0.5
    region[21, 8] = 0.7

    np.testing.assert_array_equal(decode_maps(region, affinity, text_threshold=0.7).boxes_xyxy, [[5, 20, 15, 24]])


def test_scores_at_the_low_threshold_are_not_text():
    region, affinity = blank_maps()
    region[5:9, 5:15] = 0.4
    region[6:8, 6:14] = 0.9

    np.testing.assert_array_equal(decode_maps(region, affinity, low_text=0.4).boxes_xyxy, [[6, 6, 14, 8]])


def test_affinity_joins_characters_and_is_then_removed():
    region, affinity = blank_maps()
    region[10:16, 10:16] = 0.9
    region[10:16, 24:30] = 0.9
    affinity[4:22, 16:24] = 0.9  # higher than the characters: the box must not follow it

    words = decode_maps(region, affinity)

    assert len(words) == 1
    assert words.quads[0, :, 1].min() > 4
    np.testing.assert_allclose(words.scores, [0.9], rtol=1e-6)  # of text pixels alone
    np.testing.assert_array_equal(words.boxes_xyxy, [[10, 4, 30, 22]])


def test_affinity_alone_is_no_word_even_where_thresholds_are_upside_down():
    region, affinity = blank_maps()
    region[:] = 0.3
    affinity[10:20, 10:20] = 0.9

    assert len(decode_maps(region, affinity, text_threshold=0.2, low_text=0.4)) == 0


def test_affinity_at_its_threshold_joins_nothing():
    region, affinity = blank_maps()
    region[10:16, 10:16] = region[10:16, 20:26] = 0.9
    affinity[11:15, 16:20] = 0.5

    assert len(decode_maps(region, affinity, link_threshold=0.5)) == 2
    assert len(decode_maps(region, affinity, link_threshold=0.49)) == 1


def test_words_that_touch_at_a_corner_stay_two():
    region, affinity = blank_maps()
    region[10:14, 10:20] = 0.9
    region[14:18, 20:30] = 0.9

    assert len(decode_maps(region, affinity)) == 2


def test_words_come_in_the_order_of_their_first_pixels():
    region, affinity = blank_maps()
    region[20:24, 5:20] = 0.9
    region[5:9, 50:70] = 0.9
    region[5:9, 10:30] = 0.9

    np.testing.assert_array_equal(decode_maps(region, affinity).boxes_xyxy[:, :2], [[10, 5], [50, 5], [5, 20]])


def test_arms_that_meet_below_are_one_word():
    region, affinity = blank_maps()
    region[5:20, 10:14] = 0.9
    region[5:20, 20:24] = 0.9
    region[5:20, 30:34] = 0.9
    region[20:23, 10:34] = 0.9

    assert len(decode_maps(region, affinity)) == 1


def test_quads_are_clockwise_from_the_smallest_sum():
    words = decode_maps(*random_maps(5, size_hw=(200, 200)))

    assert (signed_area(words.quads) > 0).all()
    assert (words.quads.sum(axis=2).argmin(axis=1) == 0).all()


def test_label_map_numbers_the_words_pixels():
    region, affinity = blank_maps()
    region[5:9, 10:30] = 0.9
    region[20:22, 5:8] = 0.9  # 6 pixels: no word
    region[30:34, 5:20] = 0.9
    expected = np.zeros((40, 80), np.int32)
    expected[5:9, 10:30] = 1
    expected[30:34, 5:20] = 2

    np.testing.assert_array_equal(label_map(decode_maps(region, affinity)), expected)


def test_maps_in_any_memory_order_and_type_decode_alike():
    region, affinity = random_maps(7, size_hw=(60, 90))
    expected = decode_maps(region, affinity).quads

    np.testing.assert_array_equal(
        decode_maps(np.asfortranarray(region), affinity[:, ::-1].copy()[:, ::-1]).quads, expected
    )
    np.testing.assert_array_equal(decode_maps(region.astype(np.float64), affinity).quads, expected)


def test_maps_of_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 5\) and \(5, 4\)"):
        decode_maps(np.zeros((4, 5), np.float32), np.zeros((5, 4), np.float32))


def test_index_becomes_corner_or_centre_of_its_pixel():
    np.testing.assert_array_equal(to_pixels([[3, 4]], rule="corner", scale_xy=(1, 2)), [[6, 16]])
    np.testing.assert_array_equal(to_pixels([[3, 4]], rule="centre", scale_xy=(1, 2)), [[7, 18]])


def test_unknown_pixel_rule_is_refused():
    with pytest.raises(ValueError, match="use corner or centre"):
        to_pixels([[0, 0]], rule="middle")  # type: ignore[arg-type]


def decoded_share_and_offset(height: float, angle: float, generator: np.random.Generator) -> tuple[float, float]:
    """IoU of a drawn word with its decoded box, and the distance of their centres in map pixels."""
    num_characters = int(generator.integers(4, 9))
    side = int(height * num_characters * 1.2 + 64) // 32 * 32 + 32
    middle = (side / 2 + generator.uniform(-1, 1), side / 2 + generator.uniform(-1, 1))
    aspect = generator.uniform(0.5, 1.0)
    word, characters = level_word(num_characters, height=height, aspect=aspect, angle=angle, middle_xy=middle)
    words = decode_maps(*draw_word(characters, map_size_hw=(side // 2, side // 2)))
    assert len(words) == 1
    found = to_pixels(words.quads[0], rule="centre")
    offset = 0.5 * (found.mean(axis=0) - word.mean(axis=0))
    return polygon_iou(found, word), float(np.linalg.norm(offset))


@pytest.mark.parametrize(("height", "least"), [(8, 0.46), (12, 0.60), (24, 0.72), (48, 0.81)])
def test_level_and_upright_words_come_back_from_their_maps(height, least):
    generator = np.random.default_rng(height)
    trials = [decoded_share_and_offset(height, turns * np.pi / 2, generator) for turns in range(4) for _ in range(8)]

    assert min(share for share, _ in trials) >= least
    assert max(offset for _, offset in trials) <= 0.75


@pytest.mark.parametrize(("height", "least"), [(8, 0.40), (12, 0.40), (24, 0.52), (48, 0.64), (96, 0.76)])
def test_turned_words_come_back_as_well_as_the_original_rule_allows(height, least):
    generator = np.random.default_rng(height)  # the rule grows along the map's axes: most at 45 degrees
    trials = [decoded_share_and_offset(height, generator.uniform(-np.pi, np.pi), generator) for _ in range(40)]

    assert min(share for share, _ in trials) >= least
    assert max(offset for _, offset in trials) <= 0.75


def test_weak_and_small_words_are_dropped_where_that_is_asked_for():
    region = np.zeros((40, 80), np.float32)
    region[5:15, 5:35] = 0.9  # strong and large
    region[25:35, 5:35] = 0.6  # weaker
    region[5:9, 50:60] = 0.9  # strong and small
    words = decode_maps(region, np.zeros_like(region), text_threshold=0.5, low_text=0.4)

    sides = short_sides(words.quads)

    edges = np.linalg.norm(words.quads - np.roll(words.quads, -1, axis=1), axis=2)
    np.testing.assert_allclose(sides, 2 * edges.min(axis=1), rtol=1e-6)
    assert len(keep_words(words)) == len(words) == 3
    assert len(keep_words(words, least_score=float(words.scores.min()))) == 3  # at the limit is enough
    strong = keep_words(words, least_score=0.75)
    np.testing.assert_array_equal(strong.quads, words.quads[words.scores > 0.75])
    large = keep_words(words, least_score=0.75, least_side=float(sides.max()) - 0.5)
    np.testing.assert_allclose(large.scores, [0.9], rtol=1e-6)
    assert label_map(large).max() == 1
    assert label_map(large)[10, 20] == 1
    assert len(keep_words(large, least_side=1000)) == 0


def test_kernels_give_the_same_words_as_plain_python(tmp_path):
    maps = random_maps(4, size_hw=(60, 90))
    np.save(tmp_path / "maps.npy", maps)
    program = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np\nfrom craft.decode.decode import decode_maps\n"
        "words = decode_maps(*np.load('maps.npy'))\nnp.savez('words.npz', quads=words.quads, scores=words.scores)"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )

    plain, compiled = np.load(tmp_path / "words.npz"), decode_maps(*maps)

    assert len(compiled) > 3
    np.testing.assert_array_equal(plain["quads"], compiled.quads)
    np.testing.assert_array_equal(plain["scores"], compiled.scores)
