"""The split of known length by plain, slow loops over numbers, rounded as the definition rounds."""

import math

import numpy as np

FALLOFF = 0.5 * (1 / 1.5 / 0.4) ** 2  # of a target, at its character's own width
ONE = np.float32(1 / 255)


def slow_boxes(levels, box_xyxy, length):
    """Boxes (length, 4) and the profile that they were found in."""
    left, top, right, bottom = box_xyxy
    num_bins = length * int(np.clip(round((right - left) / length), 8, 20))
    profile = slow_profile(levels, box_xyxy, num_bins)
    spans = slow_spans(profile, length)
    step = (right - left) / num_bins
    boxes = [[left + first * step, top, left + last * step, bottom] for first, last in spans]
    return np.array([slow_heights(levels, box) for box in boxes]), profile


def slow_profile(levels, box_xyxy, num_bins):
    left, top, right, bottom = box_xyxy
    height, width = levels.shape
    first = min(max(round(top), 0), height - 1)
    last = max(min(round(bottom), height), first + 1)
    highest = (levels[first:last].max(axis=0) * ONE).astype(np.float64)
    positions = left + (np.arange(num_bins) + 0.5) * ((right - left) / num_bins)
    return np.interp(positions, np.arange(width) + 0.5, highest)


def slow_spans(profile, length):
    """The cheapest spans, by trying every width at every end for every number of characters."""
    num_bins = len(profile)
    mean = num_bins / length
    least = max(1, int(0.2 * mean))
    most = min(num_bins - (length - 1) * least, max(math.ceil(3 * mean), least))
    seen = profile.astype(np.float32)
    squares = np.concatenate([np.zeros(1, np.float32), np.cumsum(seen * seen, dtype=np.float32)])
    fits = {
        width: slow_fits(seen, squares, width, 0.04 * mean * np.log(width / mean) ** 2)
        for width in range(least, most + 1)
    }
    costs = {(0, 0): 0.0}
    chosen = {}
    for end in range(1, num_bins + 1):
        costs[0, end] = costs[0, end - 1] + profile[end - 1] ** 2 + 0.02
    for number in range(1, length + 1):
        for end in range(number * least, num_bins + 1):
            best = costs.get((number, end - 1), np.inf) + profile[end - 1] ** 2 + 0.02
            width_there = 0
            for width in range(least, min(most, end) + 1):
                cost = costs.get((number - 1, end - width), np.inf) + np.float64(fits[width][end - width])
                if cost < best:
                    best, width_there = cost, width
            costs[number, end], chosen[number, end] = best, width_there
    spans, number, end = [], length, num_bins
    while number:
        width = chosen[number, end]
        if width:
            spans.append((end - width, end))
            number -= 1
        end -= max(width, 1)
    return spans[::-1]


def slow_fits(seen, squares, width, unevenness):
    """What a character of some width costs at every first bin."""
    positions = (2 * np.arange(width) + 1) / width - 1
    target = np.exp(-FALLOFF * positions**2).astype(np.float32)
    own = np.float32(0)
    for value in target:
        own += value * value
    costs = []
    for first in range(len(seen) - width + 1):
        common = np.float32(0)
        for index in range(width):
            common += target[index] * seen[first + index]
        strength = min(max(common / own, np.float32(0)), np.float32(1))
        fit = strength * (2 * common - strength * own)
        costs.append(np.float32(np.float32(squares[first + width] - squares[first] - fit) + unevenness))
    return costs


def slow_heights(levels, box_xyxy):
    """A box made as high as its scores are over half of their peak, stretched to a target's own edge."""
    left, top, right, bottom = box_xyxy
    first_row, last_row = max(int(top + 0.5), 0), min(int(bottom + 0.5), levels.shape[0]) - 1
    first = max(int(left), 0)
    last = min(max(math.ceil(right), first + 1), levels.shape[1])
    rows = {row: float(levels[row, first:last].max(initial=0) * ONE) for row in range(first_row, last_row + 1)}
    if not rows or max(rows.values()) < 0.35:
        return box_xyxy
    above = below = peak = max(rows, key=lambda row: (rows[row], -row))
    limit = 0.5 * rows[peak]
    while above > first_row and rows[above - 1] > limit:
        above -= 1
    while below < last_row and rows[below + 1] > limit:
        below += 1
    upper, lower = float(above), below + 1.0
    if above > first_row:
        upper = above + 0.5 - (rows[above] - limit) / (rows[above] - rows[above - 1])
    if below < last_row:
        lower = below + 0.5 + (rows[below] - limit) / (rows[below] - rows[below + 1])
    reach = math.sqrt(math.log(2) / FALLOFF)
    middle, half = 0.5 * (upper + lower), max(0.5 * (lower - upper) / reach, 0.5 * 0.35 * (bottom - top))
    return [left, max(middle - half, top), right, min(middle + half, bottom)]
