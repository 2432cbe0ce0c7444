"""Compiled arithmetic of word crops: where they lie, their pixels, and the way back to the scene."""

import math

import numpy as np

from craft.kernels import njit

_FRACTION_BITS = 6  # of a position between two source pixels: 12 bits of weight and 8 of colour fit a lane of 20
_LANE = 20  # bits from one channel to the next in a packed pixel
_LEAST_DENOMINATOR = 0.3  # of a homography at a crop's corner, relative to its middle; steeper ones become affine
_LEAST_AREA = 1e-3  # of a character, square source pixels


@njit(cache=True, nogil=True)
def mean_sides(strips_xy):
    """Length of a word along its strips (S, 4, 2), and its mean height, weighted by the strips' lengths."""
    wide, tall, plain = 0.0, 0.0, 0.0
    for strip in strips_xy:
        width, height = _sides(strip)
        wide += width
        tall += width * height
        plain += height / len(strips_xy)
    return wide, tall / wide if wide > 0 else plain


@njit(cache=True, nogil=True)
def _sides(strip):
    """Mean width and mean height of a quad."""
    lengths = np.empty(4)
    for corner in range(4):
        following = (corner + 1) % 4
        lengths[corner] = math.sqrt(
            (strip[following, 0] - strip[corner, 0]) ** 2 + (strip[following, 1] - strip[corner, 1]) ** 2
        )
    return 0.5 * (lengths[0] + lengths[2]), 0.5 * (lengths[1] + lengths[3])


@njit(cache=True, nogil=True)
def strip_matrices(strips_xy, left, top, bottom, scale, size_hw):
    """Matrices (S, 3, 3) from crop to source pixels, and first columns (S,), of the strips that have a width.

    They send rectangles side by side from `left` on, `scale` times as wide as the strips, to the strips. A matrix
    becomes affine where its denominator at a corner falls too far below that in the middle.
    """
    matrices = np.empty((len(strips_xy), 3, 3))
    starts = np.empty(len(strips_xy), np.int64)
    count = 0
    for strip in strips_xy:
        width, _height = _sides(strip)
        right = left + width * scale
        if width <= 0:
            continue
        matrix, ends = matrices[count], (left, right)
        _rectangle_to_quad(strip, left, top, right, bottom, matrix)
        if len(strips_xy) == 1:
            ends = (0.0, float(size_hw[1]))
        middle = matrix[2, 0] * 0.5 * (left + right) + matrix[2, 1] * 0.5 * (top + bottom) + matrix[2, 2]
        least = np.inf
        for x in ends:
            for y in (0.0, float(size_hw[0])):
                least = min(least, (matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]) / middle)
        if not least >= _LEAST_DENOMINATOR:
            _rectangle_to_parallelogram(strip, left, top, right, bottom, matrix)
        starts[count] = round(left) if count else 0
        count += 1
        left = right
    return matrices[:count].copy(), starts[:count].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def _rectangle_to_quad(quad, left, top, right, bottom, matrix):
    """Fill in the matrix (3, 3) from an upright rectangle to a quad, corner for corner (Heckbert 1989, 2.2.3)."""
    right_x, right_y = quad[1, 0] - quad[2, 0], quad[1, 1] - quad[2, 1]
    left_x, left_y = quad[3, 0] - quad[2, 0], quad[3, 1] - quad[2, 1]
    excess_x = quad[0, 0] - quad[1, 0] + quad[2, 0] - quad[3, 0]
    excess_y = quad[0, 1] - quad[1, 1] + quad[2, 1] - quad[3, 1]
    denominator = right_x * left_y - right_y * left_x
    if abs(denominator) < 1e-12:
        denominator = 1e-12
    across = (excess_x * left_y - excess_y * left_x) / denominator
    down = (right_x * excess_y - right_y * excess_x) / denominator
    for axis in range(3):
        first = quad[0, axis] if axis < 2 else 1.0
        along = quad[1, axis] * (1 + across) - first if axis < 2 else across
        below = quad[3, axis] * (1 + down) - first if axis < 2 else down
        matrix[axis, 0] = along / (right - left)
        matrix[axis, 1] = below / (bottom - top)
        matrix[axis, 2] = first - matrix[axis, 0] * left - matrix[axis, 1] * top


@njit(cache=True, nogil=True)
def _rectangle_to_parallelogram(quad, left, top, right, bottom, matrix):
    """Fill in the matrix (3, 3) from an upright rectangle to the parallelogram of a quad's middle lines."""
    matrix[2, 0], matrix[2, 1], matrix[2, 2] = 0.0, 0.0, 1.0
    for axis in range(2):
        first, second, third, fourth = quad[0, axis], quad[1, axis], quad[2, axis], quad[3, axis]
        matrix[axis, 0] = 0.5 * (second + third - first - fourth) / (right - left)
        matrix[axis, 1] = 0.5 * (third + fourth - first - second) / (bottom - top)
        centre = 0.25 * (first + second + third + fourth)
        matrix[axis, 2] = centre - 0.5 * (matrix[axis, 0] * (left + right) + matrix[axis, 1] * (top + bottom))


@njit(cache=True, nogil=True)
def _transform(matrix, x, y):
    """Where a homography sends a point, and its denominator there."""
    scale = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    return (
        (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / scale,
        (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / scale,
        scale,
    )


@njit(cache=True, nogil=True)
def least_source_step(matrix, left, right, height):
    """Fewest source pixels that a crop pixel covers in any direction, at the corners and in the middle of columns."""
    least = np.inf
    for x, y in ((left, 0.0), (right, 0.0), (left, height), (right, height), (0.5 * (left + right), 0.5 * height)):
        source_x, source_y, scale = _transform(matrix, x, y)
        a, b = (matrix[0, 0] - source_x * matrix[2, 0]) / scale, (matrix[0, 1] - source_x * matrix[2, 1]) / scale
        c, d = (matrix[1, 0] - source_y * matrix[2, 0]) / scale, (matrix[1, 1] - source_y * matrix[2, 1]) / scale
        total, area = a * a + b * b + c * c + d * d, a * d - b * c
        spread = math.sqrt(max(total * total - 4 * area * area, 0.0))
        least = min(least, math.sqrt(max(0.5 * (total - spread), 0.0)))  # the smaller singular value
    return least


@njit(cache=True, nogil=True)
def warp_columns(image, matrix, crop):
    """Fill in columns of a crop (h, w, 3), bilinear in 64ths of a pixel, black outside, by a crop-to-image matrix."""
    left, top, right, bottom = _source_bounds(matrix, crop.shape[0], crop.shape[1], image.shape[0], image.shape[1])
    packed = _packed_region(image, left, top, right, bottom)
    _interpolate(packed.ravel(), packed.shape[0], packed.shape[1], matrix, left, top, crop)


@njit(cache=True, nogil=True)
def _source_bounds(matrix, height, width, image_height, image_width):
    """First and last source pixels that a crop reads, x1, y1, x2, y2; from -1 to one beyond the image."""
    low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
    for x in (0.0, float(width)):
        for y in (0.0, float(height)):
            source_x, source_y, _scale = _transform(matrix, x, y)
            low_x, high_x = min(low_x, source_x), max(high_x, source_x)
            low_y, high_y = min(low_y, source_y), max(high_y, source_y)
    left = int(min(max(math.floor(low_x) - 1, -1.0), float(image_width)))
    top = int(min(max(math.floor(low_y) - 1, -1.0), float(image_height)))
    right = int(min(max(math.ceil(high_x) + 1, left + 1.0), image_width + 1.0))
    bottom = int(min(max(math.ceil(high_y) + 1, top + 1.0), image_height + 1.0))
    return left, top, right, bottom


@njit(cache=True, nogil=True)
def _packed_region(image, left, top, right, bottom):
    """A region of an image with a pixel's three channels in one number, so that they are weighted at once."""
    packed = np.zeros((bottom - top + 1, right - left + 1), np.uint64)
    first_row, first_column = max(top, 0), max(left, 0)
    seen = image[first_row : max(bottom + 1, 0), first_column : max(right + 1, 0)]
    inside = packed[first_row - top :, first_column - left :]
    for row in range(seen.shape[0]):
        line, packed_line = seen[row], inside[row]
        for column in range(seen.shape[1]):
            red, green, blue = line[column, 0], line[column, 1], line[column, 2]
            packed_line[column] = (
                np.uint64(red) | (np.uint64(green) << np.uint64(_LANE)) | (np.uint64(blue) << np.uint64(2 * _LANE))
            )
    return packed


@njit(cache=True, nogil=True, error_model="numpy")
def _interpolate(packed, rows, columns, matrix, left, top, crop):
    """Fill in a crop from packed pixels (rows * columns,) whose first is pixel (left, top) of the image.

    Positions are computed a line at a time, in float32 from the region's own corner, for vector instructions.
    """
    height, width = crop.shape[:2]
    one = np.float32(1 << _FRACTION_BITS)
    last_x, last_y = np.float32(columns - 2) * one, np.float32(rows - 2) * one
    corner_x, corner_y = left + 0.5, top + 0.5  # centre of the region's first pixel
    step_x = np.float32((matrix[0, 0] - corner_x * matrix[2, 0]) * (1 << _FRACTION_BITS))
    step_y = np.float32((matrix[1, 0] - corner_y * matrix[2, 0]) * (1 << _FRACTION_BITS))
    step_scale, half, zero = np.float32(matrix[2, 0]), np.float32(0.5), np.float32(0)
    bits, mask, pitch = np.int32(_FRACTION_BITS), np.int32((1 << _FRACTION_BITS) - 1), np.int32(columns)
    offsets, shares_x, shares_y = np.empty(width, np.uint32), np.empty(width, np.uint32), np.empty(width, np.uint32)
    for row in range(height):
        base = matrix[:, 0] * 0.5 + matrix[:, 1] * (row + 0.5) + matrix[:, 2]
        first_x = np.float32((base[0] - corner_x * base[2]) * (1 << _FRACTION_BITS))
        first_y = np.float32((base[1] - corner_y * base[2]) * (1 << _FRACTION_BITS))
        first_scale = np.float32(base[2])
        for column in range(width):
            along = np.float32(column)
            inverse = np.float32(1) / (step_scale * along + first_scale)
            x = min(max((step_x * along + first_x) * inverse, zero), last_x)
            y = min(max((step_y * along + first_y) * inverse, zero), last_y)
            whole_x, whole_y = np.int32(x + half), np.int32(y + half)
            offsets[column] = np.uint32((whole_y >> bits) * pitch + (whole_x >> bits))
            shares_x[column], shares_y[column] = np.uint32(whole_x & mask), np.uint32(whole_y & mask)
        _gather(packed, np.uint64(columns), offsets, shares_x, shares_y, crop[row])


@njit(cache=True, nogil=True)
def _gather(packed, pitch, offsets, shares_x, shares_y, line):
    """Fill in a line (w, 3) with the weighted means of four packed pixels each."""
    one, byte = np.uint64(1), np.uint64(255)
    bits, lane = np.uint64(_FRACTION_BITS), np.uint64(_LANE)
    twice = bits + bits
    half = one << (twice - one)
    half = half | (half << lane) | (half << (lane + lane))
    for column in range(len(line)):
        offset = np.uint64(offsets[column])
        share_x, share_y = np.uint64(shares_x[column]), np.uint64(shares_y[column])
        both = share_x * share_y
        below, beside = (share_y << bits) - both, (share_x << bits) - both
        alone = (one << twice) - both - below - beside
        mixed = (
            packed[offset] * alone
            + packed[offset + one] * beside
            + packed[offset + pitch] * below
            + packed[offset + pitch + one] * both
            + half
        )
        line[column, 0] = np.uint8((mixed >> twice) & byte)
        line[column, 1] = np.uint8((mixed >> (twice + lane)) & byte)
        line[column, 2] = np.uint8((mixed >> (twice + lane + lane)) & byte)


@njit(cache=True, nogil=True)
def boxes_to_quads(boxes_xyxy, stride, downwards, matrices, starts):
    """Quads (C, 4, 2) float32 in source pixels of boxes in a crop's map, and whether all have an area, clockwise."""
    quads = np.empty((len(boxes_xyxy), 4, 2), np.float32)
    usable = True
    for index in range(len(boxes_xyxy)):
        left, top, right, bottom = boxes_xyxy[index]
        if downwards:
            left, top, right, bottom = top, left, bottom, right
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        for corner in range(4):
            x, y = stride * corners[corner][0], stride * corners[corner][1]
            strip = len(starts) - 1
            while strip > 0 and x < starts[strip]:
                strip -= 1
            quads[index, corner, 0], quads[index, corner, 1], _scale = _transform(matrices[strip], x, y)
        usable = usable and _LEAST_AREA < _area(quads[index]) < np.inf
    return quads, usable


@njit(cache=True, nogil=True)
def _area(quad):
    """Signed area, positive where the quad runs clockwise on the screen; NaN where a corner is NaN."""
    first_x, first_y = np.float64(quad[0, 0]), np.float64(quad[0, 1])
    twice = 0.0
    for corner in range(1, 3):
        twice += (quad[corner, 0] - first_x) * (quad[corner + 1, 1] - first_y)
        twice -= (quad[corner + 1, 0] - first_x) * (quad[corner, 1] - first_y)
    return 0.5 * twice
