"""Colours as things have them, and colours that can be told from what is behind them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float64]
LUMINANCE = np.array([0.299, 0.587, 0.114])
_VALUES = 1.0 - 0.08  # the darkest is hardly black
_WARM = 0.55  # wood, brick, stone, soil and skin: most dull things are warm
_SHIFTS = (0.0, 4.0, 2.0)  # of hue, for red, green and blue


def natural_colour(generator: np.random.Generator, *, vivid: float = 0.2) -> Colour:
    """A colour as things have them: mostly dull, now and then vivid.

    Args:
        generator: source of randomness.
        vivid: share of vivid ones.

    Returns:
        (3,) float64, RGB 0 to 255.
    """
    value, hue = 0.08 + _VALUES * generator.random(), generator.random() * 6
    if generator.random() < vivid:
        saturation = 0.5 + 0.5 * generator.random()
    else:
        saturation = generator.beta(1.2, 4.5)
        if generator.random() < _WARM:
            hue = generator.normal(0.6, 0.35) % 6
    ramp = [min(max(abs((hue + shift) % 6 - 3) - 1, 0.0), 1.0) for shift in _SHIFTS]
    return np.array([255 * value * (1 - saturation * (1 - share)) for share in ramp])


def natural_colours(generator: np.random.Generator, count: int, *, vivid: float = 0.2) -> NDArray[np.float64]:
    """Several colours like those of `natural_colour`, drawn together.

    Args:
        generator: source of randomness.
        count: how many.
        vivid: share of vivid ones.

    Returns:
        (count, 3) float64, RGB 0 to 255.
    """
    value, hue, bright, warm, share = generator.random((5, count))
    dull = bright >= vivid
    saturation = np.where(dull, generator.beta(1.2, 4.5, count), 0.5 + 0.5 * share)
    hue = np.where(dull & (warm < _WARM), generator.normal(0.6, 0.35, count) % 6, hue * 6)
    ramp = np.clip(np.abs((hue[:, None] + _SHIFTS) % 6 - 3) - 1, 0, 1)
    return 255 * (0.08 + _VALUES * value)[:, None] * (1 - saturation[:, None] * (1 - ramp))


def with_luminance(colour: Colour, target: float) -> Colour:
    """The colour mixed with black or white until its luminance is the one wanted.

    Args:
        colour: (3,) RGB 0 to 255.
        target: luminance, 0 to 255.

    Returns:
        (3,) RGB.
    """
    own = float(LUMINANCE @ colour)
    if own >= target:
        return colour * (target / max(own, 1e-6))
    return colour + (255 - colour) * ((target - own) / max(255 - own, 1e-6))


def contrasting_colour(generator: np.random.Generator, behind: float, *, low_contrast: float) -> Colour:
    """A colour that can be told from what is behind it, sometimes only just.

    Args:
        generator: source of randomness.
        behind: luminance behind, 0 to 255.
        low_contrast: probability of a small difference.

    Returns:
        (3,) RGB.
    """
    brighter = generator.random() < (255 - behind) / 255
    room = 255 - behind if brighter else behind
    difference = generator.uniform(10, 45) if generator.random() < low_contrast else generator.uniform(60, 240)
    target = behind + min(difference, room) * (1 if brighter else -1)
    return with_luminance(natural_colour(generator, vivid=0.45), target)
