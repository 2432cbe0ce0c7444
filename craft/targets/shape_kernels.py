"""Compiled loops over quads that turn each into an ellipse, a grown strip or an affinity quad.

Callers allocate the arrays that are filled in here: numba compiles in seconds instead of tens of seconds where a kernel
neither allocates nor copies slices. `craft.geometry` has the same formulas over arrays; the tests compare them.
"""

import math

import numpy as np

from craft.kernels import njit

_LEAST_AREA = 1e-6  # square map pixels; a quad with less has no inside
_LEAST_CORNER = 1e-3  # least triangle at a corner, as a share of the quad's area, of a quad drawn in perspective
_FARTHEST_CORNER = 4.0 / 9.0  # squared bisector at which a growing corner has moved three times the distance
_SLACK = 1e-6  # a centre on the bounds must not be lost to rounding; what is inside is tested exactly later


@njit(cache=True, nogil=True, error_model="numpy")
def connect_neighbours(quads, word, between, between_word):
    """Fill in the quads `between` neighbours of a word, and the word of each; return how many there are."""
    count = 0
    for index in range(len(quads) - 1):
        if word[index] != word[index + 1]:
            continue
        here, there, out = quads[index], quads[index + 1], between[count]
        here_x, here_y = _crossing(here)
        there_x, there_y = _crossing(there)
        step_x, step_y = there_x - here_x, there_y - here_y
        right_x, right_y, down_x, down_y = 0.0, 0.0, 0.0, 0.0
        for quad in (here, there):  # between the centroids of opposite triangles
            right_x += (quad[1, 0] + quad[2, 0] - quad[3, 0] - quad[0, 0]) / 3
            right_y += (quad[1, 1] + quad[2, 1] - quad[3, 1] - quad[0, 1]) / 3
            down_x += (quad[2, 0] + quad[3, 0] - quad[0, 0] - quad[1, 0]) / 3
            down_y += (quad[2, 1] + quad[3, 1] - quad[0, 1] - quad[1, 1]) / 3
        along_right = _share_along(step_x, step_y, right_x, right_y)
        side = 3 if _share_along(step_x, step_y, down_x, down_y) > along_right else 0
        right, left = (1, 3) if side == 0 else (3, 1)
        _triangle_centroid(here, side, here_x, here_y, out[0])
        _triangle_centroid(there, side, there_x, there_y, out[right])
        _triangle_centroid(there, (side + 2) % 4, there_x, there_y, out[2])
        _triangle_centroid(here, (side + 2) % 4, here_x, here_y, out[left])
        between_word[count] = word[index]
        count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def fit_ellipses(quads, enlargement, height, width, scratch, box, function, kept):
    """Fill in box, function and quad of every enlarged quad's ellipse that touches the map; return how many do."""
    count = 0
    for index in range(len(quads)):
        _convex_or_parallelogram(quads[index], scratch)
        _enlarge(scratch, enlargement)
        if abs(_area(scratch)) <= _LEAST_AREA:
            continue
        left, top, right, bottom = _to_disc(scratch, function[count])
        if _pixel_box(left, top, right, bottom, height, width, box[count]):
            kept[count] = index
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def grow_strips(quads, growth, height, width, scratch, box, function, kept):
    """Fill in box, sides and quad of every grown strip's convex pieces that touch the map; return how many do.

    A quad that is not convex is cut at its most inward corner into two triangles, written as quads with one corner
    twice; those of a bow-tie cover both its wings and what lies between.
    """
    count = 0
    grown, piece, turned = scratch[0], scratch[1], scratch[2]
    for index in range(len(quads)):
        _copy_clockwise(quads[index], turned)
        _grow(turned, growth, grown)
        corner, least = 0, 0.0
        for number in range(4):
            area = _corner_area(grown, number)
            if area < least:
                corner, least = number, area
        num_pieces = 2 if least < 0 else 1
        for part in range(num_pieces):
            for number in range(4):
                source = number
                if num_pieces == 2:  # corners 0 1 2 2 and 0 2 3 3, counted from the inward one
                    source = corner + (min(number, 2) if part == 0 or number == 0 else min(number + 1, 3))
                piece[number, 0], piece[number, 1] = grown[source % 4, 0], grown[source % 4, 1]
            if abs(_area(piece)) <= _LEAST_AREA:
                continue
            _copy_clockwise(piece, turned)
            left, top, right, bottom = _to_sides(turned, function[count])
            if _pixel_box(left, top, right, bottom, height, width, box[count]):
                kept[count] = index
                count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _area(quad):
    """Signed area: half the product of the diagonals."""
    return 0.5 * (
        (quad[2, 0] - quad[0, 0]) * (quad[3, 1] - quad[1, 1]) - (quad[2, 1] - quad[0, 1]) * (quad[3, 0] - quad[1, 0])
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _corner_area(quad, number):
    """Signed area of the triangle that a corner makes with its neighbours."""
    before, after = (number + 3) % 4, (number + 1) % 4
    return 0.5 * (
        (quad[number, 0] - quad[before, 0]) * (quad[after, 1] - quad[number, 1])
        - (quad[number, 1] - quad[before, 1]) * (quad[after, 0] - quad[number, 0])
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _crossing(quad):
    """Where the diagonals cross; the mean of the corners where they are parallel."""
    down_x, down_y = quad[2, 0] - quad[0, 0], quad[2, 1] - quad[0, 1]
    across_x, across_y = quad[3, 0] - quad[1, 0], quad[3, 1] - quad[1, 1]
    denominator = down_x * across_y - down_y * across_x
    if abs(denominator) < 1e-9:
        return (quad[0, 0] + quad[1, 0] + quad[2, 0] + quad[3, 0]) / 4, (
            quad[0, 1] + quad[1, 1] + quad[2, 1] + quad[3, 1]
        ) / 4
    share = ((quad[1, 0] - quad[0, 0]) * across_y - (quad[1, 1] - quad[0, 1]) * across_x) / denominator
    return quad[0, 0] + share * down_x, quad[0, 1] + share * down_y


@njit(cache=True, nogil=True, error_model="numpy")
def _triangle_centroid(quad, side, centre_x, centre_y, out):
    """Fill in the centroid of the triangle between a side and the crossing of the diagonals."""
    following = (side + 1) % 4
    out[0] = (quad[side, 0] + quad[following, 0] + centre_x) / 3
    out[1] = (quad[side, 1] + quad[following, 1] + centre_y) / 3


@njit(cache=True, nogil=True, error_model="numpy")
def _share_along(step_x, step_y, axis_x, axis_y):
    """How far a step runs along an axis of any length, forwards or backwards."""
    length = math.hypot(axis_x, axis_y)
    return abs(step_x * axis_x + step_y * axis_y) / (length if length > 0 else 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _convex_or_parallelogram(quad, out):
    """Fill in the quad, or, where it is not convex, the parallelogram with its middle, its mean sides and its area.

    A nearly straight corner counts as not convex, since the horizon of the homography comes too near.
    """
    area = _area(quad)
    sign = 1.0 if area > 0 else -1.0
    convex = area != 0
    for number in range(4):
        convex = convex and sign * _corner_area(quad, number) > _LEAST_CORNER * abs(area)
    for axis in range(2):
        first, second, third, fourth = quad[0, axis], quad[1, axis], quad[2, axis], quad[3, axis]
        if not convex:
            middle = (first + second + third + fourth) / 4
            rightwards, downwards = (second + third - first - fourth) / 4, (third + fourth - first - second) / 4
            first, second = middle - rightwards - downwards, middle + rightwards - downwards
            third, fourth = middle + rightwards + downwards, middle + downwards - rightwards
        out[0, axis], out[1, axis], out[2, axis], out[3, axis] = first, second, third, fourth


@njit(cache=True, nogil=True, error_model="numpy")
def _enlarge(quad, factor):
    """Move the corners away from where the diagonals cross, in place."""
    centre_x, centre_y = _crossing(quad)
    for number in range(4):
        quad[number, 0] = centre_x + factor * (quad[number, 0] - centre_x)
        quad[number, 1] = centre_y + factor * (quad[number, 1] - centre_y)


@njit(cache=True, nogil=True, error_model="numpy")
def _to_disc(quad, function):
    """Fill in the functions of a quad's ellipse, the inverse homography to [-1, 1]^2; return the ellipse's bounds.

    The functions are scaled so that the third is 1 in the middle of the bounds, which the dual of the disc's conic
    gives. It is an ellipse, since the horizon of a convex quad's homography does not meet the square.
    """
    excess_x = quad[0, 0] - quad[1, 0] + quad[2, 0] - quad[3, 0]
    excess_y = quad[0, 1] - quad[1, 1] + quad[2, 1] - quad[3, 1]
    right_x, right_y = quad[1, 0] - quad[2, 0], quad[1, 1] - quad[2, 1]
    left_x, left_y = quad[3, 0] - quad[2, 0], quad[3, 1] - quad[2, 1]
    denominator = right_x * left_y - right_y * left_x
    g = (excess_x * left_y - excess_y * left_x) / denominator
    h = (right_x * excess_y - right_y * excess_x) / denominator
    # Columns of the homography from the square [-1, 1]^2, from those of the one from [0, 1]^2.
    a_x, a_y, a_w = 0.5 * (quad[1, 0] * (1 + g) - quad[0, 0]), 0.5 * (quad[1, 1] * (1 + g) - quad[0, 1]), 0.5 * g
    b_x, b_y, b_w = 0.5 * (quad[3, 0] * (1 + h) - quad[0, 0]), 0.5 * (quad[3, 1] * (1 + h) - quad[0, 1]), 0.5 * h
    c_x, c_y, c_w = quad[0, 0] + a_x + b_x, quad[0, 1] + a_y + b_y, 1 + a_w + b_w
    pole = a_w * a_w + b_w * b_w - c_w * c_w
    middle_x, middle_y = (a_x * a_w + b_x * b_w - c_x * c_w) / pole, (a_y * a_w + b_y * b_w - c_y * c_w) / pole
    reach_x = math.sqrt(max(middle_x**2 - (a_x * a_x + b_x * b_x - c_x * c_x) / pole, 0.0))
    reach_y = math.sqrt(max(middle_y**2 - (a_y * a_y + b_y * b_y - c_y * c_y) / pole, 0.0))
    _cross(b_x, b_y, b_w, c_x, c_y, c_w, function[0])
    _cross(c_x, c_y, c_w, a_x, a_y, a_w, function[1])
    _cross(a_x, a_y, a_w, b_x, b_y, b_w, function[2])
    scale = 1.0 / (function[2, 0] * middle_x + function[2, 1] * middle_y + function[2, 2])
    for row in range(3):
        for column in range(3):
            function[row, column] *= scale
    return middle_x - reach_x, middle_y - reach_y, middle_x + reach_x, middle_y + reach_y


@njit(cache=True, nogil=True, error_model="numpy")
def _cross(a_x, a_y, a_w, b_x, b_y, b_w, out):
    """Fill in the cross product."""
    out[0], out[1], out[2] = a_y * b_w - a_w * b_y, a_w * b_x - a_x * b_w, a_x * b_y - a_y * b_x


@njit(cache=True, nogil=True, error_model="numpy")
def _copy_clockwise(quad, out):
    """Fill in the quad clockwise, reversed around its first corner where it was not."""
    turned = _area(quad) < 0
    for number in range(4):
        source = (4 - number) % 4 if turned else number
        out[number, 0], out[number, 1] = quad[source, 0], quad[source, 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _grow(quad, share, out):
    """Fill in the quad with its sides moved outwards by a share of the shorter side, as `grow_quads` in its test does."""
    lengths = (_length(quad, 0), _length(quad, 1), _length(quad, 2), _length(quad, 3))
    distance = share * 0.5 * min(lengths[0] + lengths[2], lengths[1] + lengths[3])
    for number in range(4):
        before, after = (number + 3) % 4, (number + 1) % 4
        own = lengths[number] if lengths[number] > 0 else 1.0
        other = lengths[before] if lengths[before] > 0 else 1.0
        # Clockwise with y down, the outside is to the left.
        bisector_x = (quad[after, 1] - quad[number, 1]) / own + (quad[number, 1] - quad[before, 1]) / other
        bisector_y = -(quad[after, 0] - quad[number, 0]) / own - (quad[number, 0] - quad[before, 0]) / other
        scale = 2.0 / max(bisector_x**2 + bisector_y**2, _FARTHEST_CORNER)
        if lengths[number] == 0 or lengths[before] == 0:  # a corner given twice follows its one real side
            scale = 1.0
        out[number, 0] = quad[number, 0] + distance * bisector_x * scale
        out[number, 1] = quad[number, 1] + distance * bisector_y * scale


@njit(cache=True, nogil=True, error_model="numpy")
def _length(quad, number):
    """Length of the side that begins at a corner."""
    after = (number + 1) % 4
    return math.hypot(quad[after, 0] - quad[number, 0], quad[after, 1] - quad[number, 1])


@njit(cache=True, nogil=True, error_model="numpy")
def _to_sides(quad, function):
    """Fill in the distances from the sides of a clockwise convex quad, positive inside; return its bounds."""
    for number in range(4):
        after = (number + 1) % 4
        length = _length(quad, number)
        length = length if length > 0 else 1.0
        inward_x, inward_y = (quad[number, 1] - quad[after, 1]) / length, (quad[after, 0] - quad[number, 0]) / length
        function[number, 0], function[number, 1] = inward_x, inward_y
        function[number, 2] = -(inward_x * quad[number, 0] + inward_y * quad[number, 1])
    return quad[:, 0].min(), quad[:, 1].min(), quad[:, 0].max(), quad[:, 1].max()


@njit(cache=True, nogil=True, error_model="numpy")
def _pixel_box(left, top, right, bottom, height, width, box):
    """Fill in left, top, width and height of the pixels whose centres lie in bounds and map; return if there are any."""
    box[0] = int(min(max(np.ceil(left - 0.5 - _SLACK), 0.0), width))
    box[1] = int(min(max(np.ceil(top - 0.5 - _SLACK), 0.0), height))
    box[2] = int(min(max(np.floor(right - 0.5 + _SLACK) + 1, 0.0), width)) - box[0]
    box[3] = int(min(max(np.floor(bottom - 0.5 + _SLACK) + 1, 0.0), height)) - box[1]
    return box[2] > 0 and box[3] > 0
