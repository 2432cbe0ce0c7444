"""From score maps to words in source image pixels, by the detection settings."""

import numpy as np
from numpy.typing import NDArray

from craft.config import DetectionSettings
from craft.decode.decode import decode_maps, keep_words, to_pixels
from craft.decode.detections import Detections
from craft.decode.polygons import character_quads, word_polygons


def words_from_maps(
    region: NDArray[np.float32],
    affinity: NDArray[np.float32],
    scale_xy: NDArray[np.float64],
    *,
    settings: DetectionSettings,
    polygons: bool = False,
    characters: bool = False,
) -> Detections:
    """Decode score maps (H, W) into words in source image pixels, `scale_xy` of them per network input pixel."""
    words = decode_maps(
        region,
        affinity,
        text_threshold=settings.text_threshold,
        low_text=settings.low_text,
        link_threshold=settings.link_threshold,
        rule=settings.pixel_rule,
    )
    dropped = {}
    if settings.least_score > 0 or settings.least_side > 0:
        num_found, num_low = len(words), int((words.scores < np.float32(settings.least_score)).sum())
        words = keep_words(words, least_score=settings.least_score, least_side=settings.least_side)
        counts = {"least_score": num_low, "least_side": num_found - num_low - len(words)}
        dropped = {name: count for name, count in counts.items() if count}
    rule = settings.pixel_rule
    outlines = word_polygons(words, low_text=settings.low_text) if polygons else []
    parts = character_quads(region, words) if characters else []
    return Detections(
        quads_xy=to_pixels(words.quads, rule=rule, scale_xy=scale_xy),
        scores=words.scores,
        polygons_xy=[to_pixels(outline, rule=rule, scale_xy=scale_xy) for outline in outlines],
        character_quads_xy=[to_pixels(part, rule=rule, scale_xy=scale_xy) for part in parts],
        dropped=dropped,
    )
