"""The score of a dataset: totals over the scores of its images, and how they are printed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from craft.evaluation.image_score import ImageScore, dataset_average_precision, harmonic_mean


@dataclass(frozen=True, slots=True)
class Scores:
    """The score of a dataset: totals over all words and detections, not means over images."""

    precision: float  # credit of the detections over their number, 0 if there are none
    recall: float  # credit of the words over their number, 0 if there are none
    hmean: float
    average_precision: float | None  # over all detections by falling score; None if some had no scores
    num_matched: float  # sum of the words' credits: matched words in the IoU protocol, partial credits in DetEval
    num_truth: int  # cared-for words
    num_detections: int
    num_images: int
    num_dont_care: int
    num_ignored: int  # detections that lie in a don't-care word and count neither way
    num_repaired_truth: int  # words whose polygon crossed itself or had no area
    num_repaired_detections: int  # detections whose polygon crossed itself or had no area


def summarise(image_scores: Sequence[ImageScore]) -> Scores:
    """Add up the scores of a dataset's images, those without detections included (micro-average)."""
    truth_credit, detection_credit, num_truth, num_detections = image_totals(image_scores).sum(axis=0).tolist()
    recall = 0.0 if num_truth == 0 else max(0.0, truth_credit) / num_truth  # CLEval's penalties may exceed its hits
    precision = 0.0 if num_detections == 0 else max(0.0, detection_credit) / num_detections
    return Scores(
        precision=precision,
        recall=recall,
        hmean=harmonic_mean(precision, recall),
        average_precision=dataset_average_precision(image_scores),
        num_matched=truth_credit,
        num_truth=int(num_truth),
        num_detections=int(num_detections),
        num_images=len(image_scores),
        num_dont_care=sum(score.num_dont_care for score in image_scores),
        num_ignored=sum(len(score.ignored_detections) for score in image_scores),
        num_repaired_truth=sum(len(score.repaired_truth) for score in image_scores),
        num_repaired_detections=sum(len(score.repaired_detections) for score in image_scores),
    )


def image_totals(image_scores: Sequence[ImageScore]) -> NDArray[np.float64]:
    """(N, 4): credit of words, credit of detections, words and detections of each image."""
    rows = [
        (score.truth_credit, score.detection_credit, score.num_truth, score.num_detections) for score in image_scores
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def format_scores(scores: Scores, *, title: str = "", unit: str = "words") -> str:
    """Lay out the score of a dataset for people, below a title where there is one; `unit` is what words are counted in."""
    lines = [title] if title else []
    lines.append(f"precision {scores.precision:.4f}   recall {scores.recall:.4f}   H-mean {scores.hmean:.4f}")
    if scores.average_precision is not None:
        lines[-1] += f"   average precision {scores.average_precision:.4f}"
    lines.append(
        f"{scores.num_images} images, {scores.num_truth} {unit} (and {scores.num_dont_care} don't care), "
        f"{scores.num_detections} {'detections' if unit == 'words' else unit + ' detected'} (and {scores.num_ignored} ignored), {scores.num_matched:g} matched"
    )
    if scores.num_repaired_truth or scores.num_repaired_detections:
        lines.append(
            f"repaired polygons: {scores.num_repaired_truth} of words, {scores.num_repaired_detections} of detections"
        )
    return "\n".join(lines)
