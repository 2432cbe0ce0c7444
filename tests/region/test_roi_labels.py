"""Labels of RoIs and anchors: cases checkable by hand, and a comparison with plain loops."""

import numpy as np
import torch

from craft.region.roi_labels import WordBoxes, label_anchors, label_rois, lies_in, word_boxes, words_found

CPU = torch.device("cpu")


def words(cared=(), dont_care=()):
    return WordBoxes(*(torch.tensor(list(boxes), dtype=torch.float32).reshape(-1, 4) for boxes in (cared, dont_care)))


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def test_rois_with_an_iou_of_at_least_one_half_are_foreground():
    found = label_rois(boxes([0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 21], [50, 50, 60, 60]), words([[0, 0, 10, 10]]))

    assert found.foreground.tolist() == [True, True, False, False]
    assert found.counted.all()
    torch.testing.assert_close(found.best_iou, torch.tensor([1.0, 0.5, 10 / 21, 0.0]))


def test_each_roi_belongs_to_the_word_it_overlaps_most():
    found = label_rois(boxes([0, 0, 12, 10], [8, 0, 20, 10]), words([[0, 0, 10, 10], [10, 0, 20, 10]]))

    assert found.word.tolist() == [0, 1]


def test_roi_with_more_than_half_its_area_in_a_dont_care_word_is_left_out():
    found = label_rois(boxes([0, 0, 10, 10], [5, 0, 15, 10], [4.9, 0, 14.9, 10]), words(dont_care=[[0, 0, 10, 10]]))

    assert found.counted.tolist() == [False, True, False]
    assert not found.foreground.any()


def test_roi_in_a_dont_care_word_counts_where_it_matches_a_cared_for_word():
    found = label_rois(boxes([0, 0, 10, 10]), words([[0, 0, 10, 12]], dont_care=[[0, 0, 30, 30]]))

    assert found.foreground.tolist() == [True]
    assert found.counted.tolist() == [True]


def test_all_rois_in_dont_care_words_are_left_out():
    found = label_rois(boxes([1, 1, 5, 5], [2, 2, 9, 9]), words(dont_care=[[0, 0, 10, 10]]))

    assert not found.counted.any()


def test_shares_in_two_dont_care_words_do_not_add_up():
    half_each = lies_in(boxes([0, 0, 10, 10]), boxes([0, 0, 5, 10], [5, 0, 10, 10]))

    assert half_each.tolist() == [False]


def test_accepts_images_without_words_and_without_rois():
    found = label_rois(boxes([0, 0, 10, 10]), words())
    assert not found.foreground.any()
    assert found.counted.all()
    assert len(label_rois(boxes(), words([[0, 0, 5, 5]])).counted) == 0
    anchors = label_anchors(boxes([0, 0, 10, 10]), words())
    assert anchors.negative.tolist() == [True]
    assert len(label_anchors(boxes(), words([[0, 0, 5, 5]])).positive) == 0


def test_anchors_are_positive_from_an_iou_of_0_7_or_where_a_word_has_no_better_one():
    anchors = boxes([0, 0, 10, 10], [0, 0, 10, 14], [100, 0, 110, 20], [100, 40, 110, 50], [60, 60, 70, 70])
    found = label_anchors(anchors, words([[0, 0, 10, 10], [100, 0, 110, 50]]))

    # The second has an IoU of 0.71; the third is the second word's best with 0.4; the fourth has 0.2 with it.
    assert found.positive.tolist() == [True, True, True, False, False]
    assert found.negative.tolist() == [False, False, False, True, True]
    assert found.word[:3].tolist() == [0, 0, 1]


def test_the_best_anchor_of_two_words_belongs_to_the_first():
    found = label_anchors(boxes([0, 0, 10, 10]), words([[0, 0, 10, 18], [0, 0, 4, 4]]))

    assert found.positive.tolist() == [True]  # best of both words: the first wins
    assert found.word.tolist() == [0]


def test_a_words_best_anchor_learns_that_word_though_it_overlaps_another_more():
    found = label_anchors(boxes([0, 0, 10, 10], [0, 0, 10, 20]), words([[0, 0, 10, 10], [0, 14, 10, 24]]))

    # The second has an IoU of 0.5 with the first word, whose best is the first, and of 0.25 with the second word.
    assert found.positive.tolist() == [True, True]
    assert found.word.tolist() == [0, 1]


def test_no_anchor_is_the_best_of_a_word_that_none_touches():
    found = label_anchors(boxes([0, 0, 10, 10], [20, 0, 30, 10]), words([[100, 100, 110, 110]]))

    assert not found.positive.any()


def test_anchors_between_the_two_limits_are_neither_text_nor_background():
    # IoUs of 0.75, 0.65, 0.28 and 0.25 with the word, whose best anchor is the first.
    sides = (10 / 0.75, 10 / 0.65, 10 / 0.28, 10 / 0.25)
    found = label_anchors(boxes([0, 0, 10, 10], *([0, 0, 10, side] for side in sides)), words([[0, 0, 10, 10]]))

    assert found.positive.tolist() == [True, True, False, False, False]
    assert found.negative.tolist() == [False, False, False, True, True]


def test_an_roi_with_an_iou_of_one_half_in_a_dont_care_word_is_foreground_and_counts():
    found = label_rois(boxes([0, 0, 10, 20]), words([[0, 0, 10, 10]], dont_care=[[0, 0, 10, 20]]))

    assert found.foreground.tolist() == [True]
    assert found.counted.tolist() == [True]


def test_anchors_in_dont_care_words_are_neither_positive_nor_negative():
    found = label_anchors(boxes([1, 1, 5, 5], [20, 20, 30, 30]), words([[40, 40, 50, 50]], dont_care=[[0, 0, 9, 9]]))

    assert found.positive.tolist() == [False, False]
    assert found.negative.tolist() == [False, True]


def test_labels_equal_plain_loops_over_random_boxes():
    generator = np.random.default_rng(0)
    for _ in range(50):
        corners = generator.integers(0, 40, (30, 2))
        all_boxes = np.concatenate([corners, corners + generator.integers(2, 30, (30, 2))], axis=1).astype(np.float32)
        cared, ignored, rois = all_boxes[:3], all_boxes[3:6], all_boxes[6:]

        found = label_rois(torch.from_numpy(rois), words(cared.tolist(), ignored.tolist()))

        for index, roi in enumerate(rois):
            overlaps = [shared(roi, word) / (area(roi) + area(word) - shared(roi, word)) for word in cared]
            inside = max(shared(roi, word) for word in ignored) > 0.5 * area(roi)
            assert bool(found.foreground[index]) == (max(overlaps) >= 0.5)
            assert bool(found.counted[index]) == (max(overlaps) >= 0.5 or not inside)


def area(box):
    return float((box[2] - box[0]) * (box[3] - box[1]))


def shared(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return float(max(width, 0) * max(height, 0))


def test_word_boxes_enclose_their_strips_and_are_clipped_to_the_image():
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], dtype=np.float32)
    turned = np.array([[30, 20], [40, 30], [30, 40], [20, 30]], dtype=np.float32)
    strips = np.stack([square, np.add(square, (10, 5)), turned, square - 20, np.add(square, (45, 0))])

    first, second = word_boxes(
        strips, [0, 0, 1, 2, 3], [0, 1, 0, 0], [1.0, 0.5, 1.0, 0.0], batch_size=2, size_hw=(50, 50), device=CPU
    )

    assert first.cared_xyxy.tolist() == [[0, 0, 20, 15]]  # the third word lies outside
    assert first.dont_care_xyxy.tolist() == [[45, 0, 50, 10]]
    assert second.cared_xyxy.tolist() == [[20, 20, 40, 40]]


def test_no_words_have_no_boxes():
    (only,) = word_boxes(np.zeros((0, 4, 2)), [], [], [], batch_size=1, size_hw=(8, 8), device=CPU)

    assert len(only.cared_xyxy) == len(only.dont_care_xyxy) == 0


def test_counts_the_words_found_at_an_iou():
    cared = boxes([0, 0, 10, 10], [20, 0, 30, 10])

    assert words_found(boxes([0, 0, 10, 14], [20, 0, 30, 19]), cared, 0.5).item() == 2
    assert words_found(boxes([0, 0, 10, 14], [20, 0, 30, 19]), cared, 0.7).item() == 1
    assert words_found(boxes([0, 0, 10, 20]), cared, 0.5).item() == 1  # exactly one half
    assert words_found(boxes(), cared, 0.5).item() == 0
    assert words_found(cared, boxes(), 0.5).item() == 0
