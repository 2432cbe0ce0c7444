"""All splitters find the characters of an ideal map, and the count does not know the length."""

import itertools

import cv2
import numpy as np
import pytest

from craft.teacher.character_spans import best_spans, count_peaks, target_table
from craft.teacher.splitter import count_confidence, inner_pixels, split_map, watershed_boxes
from tests.teacher.reference import slow_boxes

SPLITTERS = ("cuts", "length", "watershed")


def ideal_map(boxes, size_hw=(32, 120)):
    """The ideal region map of upright characters, by the definition of the Gaussian."""
    rows, columns = np.mgrid[0 : size_hw[0], 0 : size_hw[1]] + 0.5
    region = np.zeros(size_hw)
    for left, top, right, bottom in boxes:
        u = (columns - (left + right) / 2) / (0.75 * (right - left))
        v = (rows - (top + bottom) / 2) / (0.75 * (bottom - top))
        squared = u**2 + v**2
        region = np.maximum(region, np.where(squared <= 1, np.exp(-squared / 0.32), 0))
    return np.round(255 * region).astype(np.uint8)


def mean_iou(first, second):
    low, high = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    return float((common / (areas[0] + areas[1] - common)).mean())


UNEVEN = np.array(
    [[6, 4, 22, 28], [22, 10, 30, 28], [30, 4, 50, 28], [56, 10, 80, 28], [80, 4, 85, 28], [85, 4, 110, 28]], float
)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_uneven_characters_are_found_in_an_ideal_map(splitter):
    split = split_map(ideal_map(UNEVEN), (6, 4, 110, 28), 6, splitter=splitter)

    assert (split.num_found, split.confidence) == (6, 1.0)
    assert mean_iou(split.boxes_xyxy, UNEVEN) > (0.7 if splitter == "cuts" else 0.8)  # it fills the gap and the heights


def test_cuts_fill_the_whole_word_and_meet_midway_between_the_likeliest_characters():
    word = (4, 2, 112, 30)
    likeliest = split_map(ideal_map(UNEVEN), word, 6, splitter="length")

    split = split_map(ideal_map(UNEVEN), word, 6, splitter="cuts")

    boxes = split.boxes_xyxy
    assert (split.num_found, split.confidence) == (likeliest.num_found, likeliest.confidence)
    assert (boxes[:, 1] == 2).all()
    assert (boxes[:, 3] == 30).all()
    assert (boxes[0, 0], boxes[-1, 2]) == (4, 112)
    np.testing.assert_array_equal(boxes[1:, 0], boxes[:-1, 2])
    gaps = likeliest.boxes_xyxy[:-1, 2], likeliest.boxes_xyxy[1:, 0]
    np.testing.assert_allclose(boxes[1:, 0], 0.5 * (gaps[0] + gaps[1]))


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_one_letter_is_one_character(splitter):
    box = np.array([[10, 4, 30, 28]], float)

    split = split_map(ideal_map(box, (32, 40)), (10, 4, 30, 28), 1, splitter=splitter)

    assert (split.num_found, split.confidence) == (1, 1.0)
    assert mean_iou(split.boxes_xyxy, box) > 0.7


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_thirty_letters_are_thirty_characters(splitter):
    lefts = 8 + 14.0 * np.arange(30)
    boxes = np.stack([lefts, np.full(30, 4.0), lefts + 14, np.full(30, 28.0)], axis=1)

    split = split_map(ideal_map(boxes, (32, 440)), (8, 4, 428, 28), 30, splitter=splitter)

    assert (split.num_found, split.confidence) == (30, 1.0)
    assert mean_iou(split.boxes_xyxy, boxes) > 0.8


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_flat_map_gives_no_confidence(splitter):
    split = split_map(np.zeros((32, 96), np.uint8), (8, 4, 88, 28), 4, splitter=splitter)

    assert (split.num_found, split.confidence) == (0, 0.0)


def test_known_length_splits_a_flat_map_evenly():
    split = split_map(np.zeros((32, 96), np.uint8), (8, 4, 88, 28), 4, splitter="length")

    np.testing.assert_allclose(split.boxes_xyxy[:, 0], [8, 28, 48, 68], atol=0.01)
    np.testing.assert_allclose(split.boxes_xyxy[:, 2], [28, 48, 68, 88], atol=0.01)


def test_count_does_not_know_the_length():
    region = ideal_map(UNEVEN)

    splits = [split_map(region, (6, 4, 110, 28), length, splitter="length") for length in (3, 5, 6, 8, 12)]

    assert [split.num_found for split in splits] == [6] * 5
    assert [len(split.boxes_xyxy) for split in splits] == [3, 5, 6, 8, 12]
    assert [split.confidence for split in splits] == pytest.approx([0, 4 / 5, 1, 6 / 8, 6 / 12])


def test_confidence_falls_with_every_character_too_many_or_too_few():
    assert count_confidence(5, 5) == 1
    assert count_confidence(5, 4) == count_confidence(5, 6) == pytest.approx(0.8)
    assert count_confidence(5, 0) == count_confidence(5, 10) == count_confidence(5, 90) == 0


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_characters_in_a_word_with_a_space_do_not_fill_it(splitter):
    boxes = np.array([[8, 4, 24, 28], [24, 4, 40, 28], [64, 4, 80, 28], [80, 4, 96, 28]], float)

    split = split_map(ideal_map(boxes), (8, 4, 96, 28), 4, splitter=splitter)

    assert split.confidence == 1
    assert mean_iou(split.boxes_xyxy, boxes) > 0.8


def test_neighbouring_words_are_not_split():
    boxes = np.array([[30, 4, 50, 28], [50, 4, 70, 28]], float)
    neighbours = np.array([[0, 4, 20, 28], [80, 4, 100, 28]], float)

    split = split_map(ideal_map([*boxes, *neighbours]), (30, 4, 70, 28), 2, splitter="watershed")

    assert split.num_found == 2
    assert len(watershed_boxes(np.zeros((8, 8), np.uint8), (0, 0, 8, 8))) == 0


def test_lengths_below_1_and_unknown_splitters_are_refused():
    region = np.zeros((8, 8), np.uint8)

    with pytest.raises(ValueError, match="0 characters"):
        split_map(region, (0, 0, 8, 8), 0, splitter="length")
    with pytest.raises(ValueError, match="use one of cuts, length, watershed"):
        split_map(region, (0, 0, 8, 8), 1, splitter="even")


def slow_cost(profile, spans, falloff, faintest, gap_cost, evenness):
    """Cost of given spans, by its definition."""
    mean = len(profile) / len(spans)
    expected, taken, cost = np.zeros(len(profile)), np.zeros(len(profile), bool), 0.0
    for start, end in spans:
        width = end - start
        positions = (2 * np.arange(width) + 1) / width - 1
        target, seen = np.exp(-falloff * positions**2), profile[start:end]
        expected[start:end] = np.clip(target @ seen / (target @ target), faintest, 1) * target
        taken[start:end] = True
        cost += evenness * np.log(width / mean) ** 2
    return cost + ((profile - expected) ** 2).sum() + gap_cost * (~taken).sum()


def test_spans_are_the_cheapest_of_all():
    generator = np.random.default_rng(3)
    for length in (1, 2, 3):
        profile = generator.uniform(0, 1, 10)
        found = best_spans(profile, length, 1, 6, target_table(6, 1.4), 0.3, 0.02, 0.3).astype(int)
        edges = itertools.combinations_with_replacement(range(11), 2 * length)
        cheapest = min(
            slow_cost(profile, np.reshape(chosen, (length, 2)), 1.4, 0.3, 0.02, 0.3)
            for chosen in edges
            if all(1 <= end - start <= 6 for start, end in np.reshape(chosen, (length, 2)))
        )
        assert slow_cost(profile, found, 1.4, 0.3, 0.02, 0.3) == pytest.approx(cheapest, rel=1e-5)


@pytest.mark.parametrize(
    ("profile", "count"),
    [
        ([0.0, 0.8, 0.1, 0.9, 0.0], 2),
        ([0.8, 0.1, 0.9], 2),  # both ends are peaks
        ([0.0, 0.3, 0.0], 0),  # too low
        ([0.0, 0.8, 0.75, 0.8, 0.0], 1),  # a ripple
        ([0.0, 0.5, 0.45, 0.9, 0.85, 0.88, 0.2], 1),
        ([0.3, 0.1, 0.34, 0.05, 0.9, 0.0], 1),
        ([], 0),
    ],
)
def test_peaks_are_counted_by_height_and_prominence(profile, count):
    assert count_peaks(np.array(profile, float), 0.35, 0.1) == count


def random_word(generator):
    """A map with blobs anywhere, noise, and a rectangle that may leave it."""
    length = int(generator.integers(1, 7))
    height, width = int(generator.choice([16, 32, 64])), int(generator.integers(12, 30 * length + 24))
    rows, columns = np.mgrid[:height, :width]
    region = generator.normal(0, 0.02, (height, width))
    for _ in range(int(generator.integers(0, length + 3))):
        x, y = generator.uniform(0, width), generator.uniform(0.3, 0.7) * height
        wide, high = generator.uniform(2, width / length / 1.5 + 3), generator.uniform(2, height / 3)
        blob = generator.uniform(0.2, 1) * np.exp(-(((columns - x) / wide) ** 2) - ((rows - y) / high) ** 2)
        region = np.maximum(region, blob)
    low, high = generator.uniform([-2, -2], [0.2 * width, 0.2 * height]), generator.uniform([0.6, 0.7], [1.03, 1.03])
    box = (*low.tolist(), *(high * [width, height]).tolist())
    return np.round(255 * region.clip(0, 1)).astype(np.uint8), box, length


def test_known_length_splits_random_words_exactly_as_the_reference_does():
    generator = np.random.default_rng(5)
    for _ in range(8):
        levels, box, length = random_word(generator)

        fast = split_map(levels, box, length, splitter="length")

        boxes, profile = slow_boxes(levels, box, length)
        np.testing.assert_array_equal(fast.boxes_xyxy, boxes)
        assert fast.num_found == count_peaks(profile, 0.35, 0.1)


def test_watershed_of_a_words_rectangle_is_that_of_the_whole_map():
    generator = np.random.default_rng(6)
    for _ in range(40):
        levels, (left, top, right, bottom), _length = random_word(generator)
        box = (max(left, 2.0), max(top, 2.0), min(right, levels.shape[1] - 2.0), min(bottom, levels.shape[0] - 2.0))
        column, row, column_end, row_end = inner_pixels(box, levels.shape)
        alone = np.zeros_like(levels)
        alone[row:row_end, column:column_end] = levels[row:row_end, column:column_end]
        _number, markers = cv2.connectedComponents((alone > 127).astype(np.uint8), connectivity=4)
        markers[markers > 0] += 1
        markers[alone < 255 * np.exp(-25 / 18)] = 1
        basins = cv2.watershed(cv2.merge([alone] * 3), markers)

        boxes = watershed_boxes(levels, box)

        assert len(boxes) == len(set(basins[basins > 1].tolist()))


def test_a_word_that_fills_its_map_keeps_the_characters_at_its_ends():
    boxes = np.array([[0, 2, 20, 30], [20, 2, 40, 30]], float)

    found = watershed_boxes(ideal_map(boxes, (32, 40)), (0, 0, 40, 32))

    assert mean_iou(found, boxes) > 0.7
