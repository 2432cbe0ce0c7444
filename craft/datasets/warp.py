"""Pixels through a 3 x 3 matrix: one warp, with the image reduced first where it shrinks. No torch."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.geometry import transform_points
from craft.images.reader import EncodedImage


def warp_image(image: NDArray[np.uint8], matrix: ArrayLike, *, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Warp an image by a homography of source to target pixels, black where nothing of it arrives.

    Bilinear; where the image shrinks to a half or less, whole blocks of source pixels are averaged first, by the
    largest whole factor that loses nothing anywhere in the target. The origin is the corner of the first pixel.
    """
    full = np.asarray(matrix, dtype=np.float64)
    offset = _whole_translation(full)
    if offset is not None:
        return _moved(image, offset, size_hw)
    region_xyxy, factor = _region_and_factor(full, image.shape[:2], size_hw)
    if region_xyxy is None:
        return np.zeros((*size_hw, image.shape[2]), dtype=np.uint8)
    left, top, right, bottom = region_xyxy
    part = image[top:bottom, left:right]
    if factor > 1:
        part = _averaged_blocks(part, factor)
    to_source = np.array([[factor, 0.0, left], [0.0, factor, top], [0.0, 0.0, 1.0]])
    half_pixel = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    # OpenCV counts pixel indices: index i is the point i + 0.5.
    index_matrix = np.linalg.inv(half_pixel) @ full @ to_source @ half_pixel
    target_wh = size_hw[::-1]
    if np.abs(index_matrix[2, :2]).max() == 0.0:
        warped = cv2.warpAffine(part, index_matrix[:2] / index_matrix[2, 2], target_wh, flags=cv2.INTER_LINEAR)
    else:
        warped = cv2.warpPerspective(part, index_matrix, target_wh, flags=cv2.INTER_LINEAR)
    return np.asarray(warped, dtype=np.uint8)


def warp_encoded(image: EncodedImage, matrix: ArrayLike, *, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode an image file as finely as a homography needs it, and warp it as `warp_image` does.

    Results differ by a few levels where the image shrinks to a half or less: the decoder then averages the blocks.
    """
    full = np.asarray(matrix, dtype=np.float64)
    pixels, reduction = image.decode(coarsest=_whole_factor(full, source_quad(full, size_hw=size_hw)))
    return warp_image(pixels, full @ np.diag([reduction, reduction, 1.0]), size_hw=size_hw)


def source_quad(matrix: ArrayLike, *, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Where a target's corners, clockwise from its top-left, come from: (4, 2) float32 source pixels."""
    height, width = size_hw
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    return transform_points(corners, np.linalg.inv(np.asarray(matrix, dtype=np.float64)))


def _whole_translation(matrix: NDArray[np.float64]) -> tuple[int, int] | None:
    """The shift in x and y where the matrix is nothing but a shift by whole pixels."""
    normal = matrix / matrix[2, 2] if matrix[2, 2] != 0 else matrix
    shift = normal[:2, 2].round()
    plain = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]], [0.0, 0.0, 1.0]])
    return (int(shift[0]), int(shift[1])) if np.array_equal(normal, plain) else None


def _moved(image: NDArray[np.uint8], offset_xy: tuple[int, int], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    target = np.zeros((*size_hw, image.shape[2]), dtype=np.uint8)
    spans = []
    for offset, target_length, source_length in zip(offset_xy[::-1], size_hw, image.shape[:2], strict=True):
        first = max(0, offset)
        last = min(target_length, source_length + offset)
        if last <= first:
            return target
        spans.append((slice(first, last), slice(first - offset, last - offset)))
    (rows_to, rows_from), (columns_to, columns_from) = spans
    target[rows_to, columns_to] = image[rows_from, columns_from]
    return target


def _region_and_factor(
    matrix: NDArray[np.float64], image_size_hw: tuple[int, int], size_hw: tuple[int, int]
) -> tuple[tuple[int, int, int, int] | None, int]:
    """The part of the source that the target shows, as x1, y1, x2, y2, and the factor to reduce it by."""
    corners = source_quad(matrix, size_hw=size_hw)
    factor = _whole_factor(matrix, corners)
    margin = 2 * factor  # bilinear reads one reduced pixel beyond the border
    low = np.floor(corners.min(axis=0) - margin).astype(int)
    high = np.ceil(corners.max(axis=0) + margin).astype(int)
    height, width = image_size_hw
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(width, int(high[0])), min(height, int(high[1]))
    if right <= left or bottom <= top:
        return None, factor
    return (left, top, right, bottom), factor


def _whole_factor(matrix: NDArray[np.float64], corners_xy: NDArray[np.float32]) -> int:
    """By how much the source can be reduced without losing anything anywhere between some points."""
    points = np.concatenate([corners_xy, corners_xy.mean(axis=0, keepdims=True)]).astype(np.float64)
    return max(1, int(1.0 / _largest_scale(matrix, points) + 1e-6))


def _largest_scale(matrix: NDArray[np.float64], points_xy: NDArray[np.float64]) -> float:
    """Largest length that one source pixel becomes at any of some points, in target pixels."""
    denominator = points_xy @ matrix[2, :2] + matrix[2, 2]
    moved = (points_xy @ matrix[:2, :2].T + matrix[:2, 2]) / denominator[:, None]
    jacobian = (matrix[:2, :2] - moved[:, :, None] * matrix[2, :2]) / denominator[:, None, None]
    squares, area = (jacobian**2).sum(axis=(1, 2)), np.linalg.det(jacobian)
    # The larger singular value of 2 x 2 matrices, in closed form.
    return float(np.sqrt(0.5 * (squares + np.sqrt(np.maximum(squares**2 - 4 * area**2, 0.0)))).max())


def _averaged_blocks(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Averages over factor x factor pixels; the last row and column are repeated to fill the last blocks."""
    height, width = image.shape[:2]
    rows, columns = -(-height // factor), -(-width // factor)
    border = (0, rows * factor - height, 0, columns * factor - width)
    filled = cv2.copyMakeBorder(image, *border, cv2.BORDER_REPLICATE) if any(border) else image
    return np.asarray(cv2.resize(filled, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)
