"""Sizing by content: whether an image holds text too small or too large for its first pass, at which scale to look again,
and one set of words from all passes."""

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from craft.decode.detections import Detections, join
from craft.geometry import MAP_STRIDE, shared_areas, valid_polygon

# Network input pixels. Measured on rendered print: at 12, 98 % of the words are found, at 10 95 %, at 8 half to nine tenths.
_READABLE = 10.0  # shorter sides of words that are found reliably
_SMALL_SHARE = 0.5  # of the words under the readable size, from which an image is searched again
_SHRUNK = 0.8  # of the scale that suits the weights, below which text may be too small to be found at all
_WINDOW = 512  # side of a window in which a shrunk image is tried at full scale
_NUM_WINDOWS = 6
_FAINT = 0.1  # region scores from which there may be text that is not found
_FEWEST_MISSED = 2  # words in the windows that the first pass does not have
COARSE = 0.4  # of the first pass's scale, at which words are found that are larger than the network sees at once
_LARGE = 24.0  # shorter sides, in the coarse pass, of the words that are taken from it
_RESOLVED, _SPLIT = 16.0, 48.0  # a word at least so high in the first and the second pass belongs to the first
_INSIDE, _COVERED = 0.5, 0.3  # shares of a word's area in words of the other pass


def is_shrunk(first: Detections, *, full: float) -> bool:
    """Whether the first pass may have hidden small text: it shrank the image below `full`, the scale of the weights.

    Images are not magnified beyond it: words of 8 to 10 pixels gain with some weights and lose with others.
    """
    return first.scales[0] < _SHRUNK * full


def has_small_words(first: Detections) -> bool:
    """Whether half of the words of the first pass are under the size at which words are found reliably."""
    sides = _short_sides(first.quads_xy) * first.scales[0]
    return len(sides) > 0 and bool(np.mean(sides < _READABLE) >= _SMALL_SHARE)


def windows_to_try(
    image: NDArray[np.uint8], region: NDArray[np.float32], first: Detections, *, full: float
) -> list[tuple[slice, slice]]:
    """Windows of an image (H, W, 3), 512 network input pixels wide, where text may be that the first pass did not find.

    Half of them have the most fine detail, half the highest region scores (H', W') of the first pass outside its words.
    """
    side = max(1, round(_WINDOW / full))
    corners = [
        (min(top, max(0, image.shape[0] - side)), min(left, max(0, image.shape[1] - side)))
        for top in range(0, image.shape[0], side)
        for left in range(0, image.shape[1], side)
    ]
    windows = [(slice(top, top + side), slice(left, left + side)) for top, left in dict.fromkeys(corners)]
    detail = [float(np.abs(cv2.Laplacian(image[window][:, :, 1], cv2.CV_16S)).mean()) for window in windows]
    scale = first.scales[0] / MAP_STRIDE
    faint = np.where(region > _FAINT, region, 0)
    cv2.fillPoly(faint, list(np.round(first.quads_xy * scale).astype(np.int32)), 0)
    on_map = [tuple(slice(int(span.start * scale), int(span.stop * scale)) for span in window) for window in windows]
    doubt = [float(faint[window].sum()) for window in on_map]
    best = [index for values in (detail, doubt) for index in np.argsort(values)[::-1][: _NUM_WINDOWS // 2].tolist()]
    return [windows[index] for index in dict.fromkeys(best)]


def has_missed(first: Detections, in_windows: Detections) -> bool:
    """Whether windows at full scale show words that the first pass has not found."""
    return int((_shares_inside(in_windows.quads_xy, first.quads_xy) < _COVERED).sum()) >= _FEWEST_MISSED


def merge_passes(first: Detections, second: Detections) -> Detections:
    """One set of words from two passes over an image.

    A word that both passes see belongs to the first if it is large there and would fall into letters in the second; all
    others belong to the second, which also decides what the first ran together into one word.
    """
    sides = _short_sides(first.quads_xy)
    owned = (sides * first.scales[0] >= _RESOLVED) & (sides * second.scales[0] >= _SPLIT)
    owned &= ~_run_together(first.quads_xy, sides, second.quads_xy)
    others = second[_shares_inside(second.quads_xy, first.quads_xy[owned]) <= _INSIDE]
    unseen = ~owned & (_shares_inside(first.quads_xy, others.quads_xy) < _COVERED)
    return join([first[owned | unseen], others])


def add_large_words(coarse: Detections, found: Detections) -> Detections:
    """Words of the finer passes, but where they cover at most half of a large word of the coarse pass, that word."""
    large = coarse[_short_sides(coarse.quads_xy) * coarse.scales[0] >= _LARGE]
    missed = large[_shares_inside(large.quads_xy, found.quads_xy) < _INSIDE]
    return join([found[_shares_inside(found.quads_xy, missed.quads_xy) <= _INSIDE], missed]) if len(missed) else found


def _run_together(
    quads_xy: NDArray[np.float32], sides: NDArray[np.float64], others_xy: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Which of (N, 4, 2) words hold at least two of the others (M, 4, 2) that are clearly lower: lines run together."""
    several = np.zeros(len(quads_xy), bool)
    if len(quads_xy) == 0 or len(others_xy) == 0:
        return several
    outer, inner = _geometries(quads_xy), _geometries(others_xy)
    index, other = shapely.STRtree(list(outer)).query(inner, predicate="intersects")[::-1]
    inside = shared_areas(outer[index], inner[other]) > _INSIDE * shapely.area(inner[other])
    lower = _short_sides(others_xy)[other] < 0.6 * sides[index]
    return np.bincount(index[inside & lower], minlength=len(quads_xy)) >= 2


def _shares_inside(quads_xy: NDArray[np.float32], others_xy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of each quad's area (N, 4, 2) that lies in the others (M, 4, 2), which hardly overlap; (N,) float64."""
    shares = np.zeros(len(quads_xy))
    if len(quads_xy) == 0 or len(others_xy) == 0:
        return shares
    own, others = _geometries(quads_xy), _geometries(others_xy)
    index, other = shapely.STRtree(list(others)).query(own, predicate="intersects")
    np.add.at(shares, index, shared_areas(own[index], others[other]))
    return shares / np.maximum(shapely.area(own), 1e-6)


def _geometries(quads_xy: NDArray[np.float32]) -> NDArray[np.object_]:
    return np.array([valid_polygon(quad) for quad in quads_xy], dtype=object)


def _short_sides(quads_xy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shorter sides (N,) of rectangles (N, 4, 2)."""
    return np.linalg.norm(quads_xy[:, 1:3].astype(np.float64) - quads_xy[:, 0:2], axis=2).min(axis=1, initial=np.inf)
