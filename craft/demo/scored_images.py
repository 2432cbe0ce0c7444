"""The images that were uploaded, scored once and decoded whenever a threshold moves."""

import io
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from craft.config import DetectionSettings
from craft.decode.words import words_from_maps
from craft.detection.detector import Detector, ScoredImage
from craft.images.drawing import encode_image
from craft.images.reader import decode_image

MAX_BYTES = 32_000_000
MAX_PIXELS, MAX_SIDE = 25_000_000, 20_000  # strips are padded to 32 pixels
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")  # which browsers show
THRESHOLDS = ("text_threshold", "low_text", "link_threshold", "least_score", "least_side")
"""Settings that the page moves."""

_KEPT = 4
_LONGEST_WAIT = 60.0  # seconds


class Busy(Exception):
    """The network is still at work on other images."""


class ScoredImages:
    """The last few images after the network, by random keys. Threads may share it; the network runs for one at a time."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._scored: OrderedDict[str, ScoredImage] = OrderedDict()
        self._network, self._images = Lock(), Lock()

    @property
    def thresholds(self) -> dict[str, float]:
        """The detector's own values of `THRESHOLDS`."""
        return {name: getattr(self._detector.settings, name) for name in THRESHOLDS}

    def add(self, content: bytes) -> tuple[str, tuple[int, int]]:
        """Score the image in the content of a file; return its key, and its height and width.

        Raises ValueError if it is no image of `FORMATS`, is damaged, or has more than `MAX_PIXELS` or `MAX_SIDE`; Busy
        if other images take the network too long.
        """
        _refuse_large(content)
        if not self._network.acquire(timeout=_LONGEST_WAIT):
            raise Busy("other images are being searched; try again in a minute")
        try:
            scored = self._detector.score(decode_image(content, name="the upload"))
        finally:
            self._network.release()
        key = secrets.token_urlsafe(12)
        with self._images:
            self._scored[key] = scored
            while len(self._scored) > _KEPT:
                self._scored.popitem(last=False)
        return key, scored.size_hw

    def words(self, key: str, thresholds: Mapping[str, str], *, polygons: bool) -> dict[str, Any]:
        """Decode an image at other thresholds, in the json format of `craft detect`.

        Raises KeyError if there is no such image, or no longer; ValueError if a threshold is unknown or out of range.
        """
        if unknown := [name for name in thresholds if name not in THRESHOLDS]:
            raise ValueError(f"{unknown[0]!r} is no threshold; use {', '.join(THRESHOLDS)}")
        try:
            settings = DetectionSettings.model_validate({**self._detector.settings.model_dump(), **thresholds})
        except ValidationError as error:
            mistake = error.errors()[0]
            raise ValueError(
                f"{mistake['loc'][0]} is {str(mistake['input'])[:20]!r}: {mistake['msg'].lower()}"
            ) from None
        scored = self._image(key)
        found = words_from_maps(*scored[:3], settings=settings, polygons=polygons)
        return replace(found, size_hw=scored.size_hw).to_dict()

    def maps(self, key: str) -> bytes:
        """Both maps as a PNG: region in red, affinity in green, 0 to 255 for 0 to 1; KeyError if there is no such image."""
        scored = self._image(key)
        planes = [scored.region, scored.affinity, np.zeros_like(scored.region)]
        pixels: NDArray[np.uint8] = (np.clip(np.stack(planes, axis=2), 0, 1) * 255).round().astype(np.uint8)
        return encode_image(pixels, ending=".png")

    def _image(self, key: str) -> ScoredImage:
        with self._images:
            self._scored.move_to_end(key)
            return self._scored[key]


def _refuse_large(content: bytes) -> None:
    """Look at an image's header before anything is decoded."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise ValueError(f"has far more than {MAX_PIXELS:,} pixels; make it smaller") from None
    except Exception as error:  # Pillow raises many kinds on hostile files
        raise ValueError(f"not an image, or a damaged one; give {', '.join(FORMATS)}") from error
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        limits = f"{MAX_PIXELS:,} or {MAX_SIDE:,} on a side"
        raise ValueError(f"has {width:,} x {height:,} pixels, more than {limits}; make it smaller")
