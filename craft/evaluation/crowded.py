"""Images with very many words and detections, scored in groups that do not touch each other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from craft.evaluation.image_score import ImageScore, Match, average_precision, dont_care_flags, score_matches
from craft.geometry import bounding_boxes

MOST_PAIRS = 100_000  # words times detections that are compared at once: 0.8 MB an array

Index = NDArray[np.intp]


def score_in_groups(
    truth_polygons: Sequence[ArrayLike] | NDArray[np.floating],
    truth_dont_care: Sequence[bool] | NDArray[np.bool_],
    detection_polygons: Sequence[ArrayLike] | NDArray[np.floating],
    scores: ArrayLike | None,
    score: Callable[[Index, Index], ImageScore],
    *,
    reach: float = 0.0,
) -> ImageScore:
    """Score an image by `score`, given indices of words and of detections, at once or in groups; the result is the same.

    No word of one group touches a word or detection of another, so that no protocol compares them. With a `reach`, all
    bounding boxes reach that far beyond their right and lower sides, and must share an area to count as touching. The
    last arguments before `score` are those of `craft.evaluation.iou.evaluate_image`.

    Raises ValueError if more than 50 million pairs hang together.
    """
    words, found = np.arange(len(truth_polygons)), np.arange(len(detection_polygons))
    if len(words) * len(found) <= MOST_PAIRS:
        return score(words, found)
    parts = [(*group, score(*group)) for group in _groups(truth_polygons, detection_polygons, reach)]
    dont_care = dont_care_flags(truth_dont_care, len(words))
    ignored = np.zeros(len(found), dtype=bool)
    for _, own, part in parts:
        ignored[own[list(part.ignored_detections)]] = True
    counts = sum(part.num_truth for *_, part in parts), sum(part.num_detections for *_, part in parts)
    joined = score_matches(
        [
            Match(tuple(group[list(match.truth)].tolist()), tuple(own[list(match.detections)].tolist()), match.iou)
            for group, own, part in parts
            for match in part.matches
        ],
        truth_credit=sum(part.truth_credit for *_, part in parts),
        detection_credit=sum(part.detection_credit for *_, part in parts),
        dont_care=dont_care,
        ignored=ignored,
        repaired_truth=tuple(sorted(i for group, _, part in parts for i in group[list(part.repaired_truth)].tolist())),
        repaired_detections=tuple(
            sorted(i for _, own, part in parts for i in own[list(part.repaired_detections)].tolist())
        ),
        counts=None if counts == (int((~dont_care).sum()), int((~ignored).sum())) else counts,
    )
    ranked = [(part.ranked_scores, part.ranked_hits) for *_, part in parts if part.ranked_scores is not None]
    if scores is None or len(ranked) < len(parts):
        return joined
    values, hits = (np.concatenate(arrays) for arrays in zip(*ranked, strict=True))
    area = average_precision(values, hits, joined.num_truth) if joined.num_truth else joined.precision
    return replace(joined, average_precision=area, ranked_scores=values, ranked_hits=hits)


def _groups(
    truth: Sequence[ArrayLike] | NDArray[np.floating],
    detections: Sequence[ArrayLike] | NDArray[np.floating],
    reach: float,
) -> Iterator[tuple[Index, Index]]:
    """Words and detections whose bounding boxes hang together, many such heaps at a time."""
    from scipy.sparse import coo_array  # imported here: few images are so crowded
    from scipy.sparse.csgraph import connected_components

    num_words = len(truth)
    corners = np.array([bounding_boxes(polygon) for polygon in (*truth, *detections)], dtype=np.float64)
    corners[:, 2:] += reach
    boxes = np.asarray(shapely.box(*corners.T), dtype=object)
    ends = shapely.STRtree(boxes[:num_words]).query(boxes, predicate="intersects")  # detections hang together by words
    if reach:
        shared = np.minimum(*corners[ends, 2:]) - np.maximum(*corners[ends, :2])
        ends = ends[:, (shared > 0).all(axis=1)]
    edges = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(len(boxes), len(boxes)))
    heap = connected_components(edges, directed=False)[1]
    order = np.argsort(heap, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(heap[order]) > 0]))
    is_word = (order < num_words).astype(np.int64)
    num_of_heap = np.add.reduceat(np.stack([is_word, 1 - is_word], axis=1), starts)
    if (worst := int(num_of_heap.prod(axis=1).max())) > 500 * MOST_PAIRS:
        raise ValueError(
            f"{num_of_heap[num_of_heap.prod(axis=1).argmax()].tolist()} words and detections of one image hang together "
            f"({worst:,} pairs), which is too many to compare; leave out detections of low score"
        )
    begin, sums = 0, np.zeros(2, dtype=np.int64)
    for index, counts in enumerate([*num_of_heap, None]):
        if counts is None or (index > begin and (sums + counts).prod() > MOST_PAIRS):
            last = starts[index] if index < len(starts) else len(order)
            members = np.sort(order[starts[begin] : last])
            yield members[members < num_words], members[members >= num_words] - num_words
            begin, sums = index, np.zeros(2, dtype=np.int64)
        if counts is not None:
            sums = sums + counts
