"""Finds words in pictures: sizes the picture, runs the network, decodes its maps, returns source pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from craft.config import DetectionSettings, validate_config
from craft.decode.decode import decode_maps, keep_words, to_pixels
from craft.decode.polygons import character_quads, word_polygons
from craft.detection.tiling import score_tiles
from craft.images.reader import pillow_to_rgb, read_image
from craft.models.craft import CRAFT, normalise_images
from craft.models.device import choose_device, choose_precision
from craft.models.shipped import DEFAULT_WEIGHTS
from craft.models.weights import build_model, read_weights
from craft.scene import Detections

if TYPE_CHECKING:
    from craft.region.rescoring import JudgedWords

Picture = NDArray[np.uint8] | Image.Image | str | Path
_STRIDE = 32  # the network halves its input five times
_MAP_STRIDE = 2


class ScoredPicture(NamedTuple):
    """What the network says of a picture: maps (H, W), source pixels per input pixel, features for the region head."""

    region: NDArray[np.float32]
    affinity: NDArray[np.float32]
    scale_xy: NDArray[np.float64]
    levels: dict[str, Tensor]  # (1, C, h, w) each; none where there is no region head
    size_hw: tuple[int, int]


class Detector:
    """A network with its sizes and thresholds, from pictures to words.

    Attributes:
        model: the network; not copied, so that one in training can be scored as it is.
        settings: sizes and thresholds.
        device: where the network runs.
        precision: the type that autocast computes in.
    """

    def __init__(
        self, model: nn.Module, settings: DetectionSettings, *, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Put a network to work.

        Args:
            model: the network, moved to `device` in place.
            settings: sizes and thresholds.
            device: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "mps".
            precision: "auto" (bf16 where the device computes in it), "fp32" or "bf16".

        Raises:
            ValueError: device or precision is unknown or not there.
        """
        self.settings = settings
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.model = model.to(self.device)

    @classmethod
    def from_weights(
        cls, path: str | Path = DEFAULT_WEIGHTS, *, device: str = "auto", precision: str = "auto", **overrides: Any
    ) -> Self:
        """Read weights, and the settings that travel with them.

        Args:
            path: weights in any readable format, or the name of weights that ship ("small"). Files of the original
                format carry no settings: for these, map indices become pixels as in the original, and the padding stays
                in the map.
            device: as in `Detector`.
            precision: as in `Detector`.
            **overrides: fields of `DetectionSettings` that replace those in the file: text_threshold=0.6.

        Returns:
            The detector.

        Raises:
            ValueError: the file cannot be read, or a setting is unknown or out of range.
        """
        weights = read_weights(path)
        carried = weights.metadata.get("detection", {"pixel_rule": "corner", "keep_padding": True})
        config = validate_config(
            {"detection": {**carried, **overrides}, "region": {"enabled": "region" in weights.metadata}},
            where=str(path),
            given={"detection": overrides},
        )
        model = build_model(weights).to(memory_format=torch.channels_last)
        return cls(model, config.detection, device=device, precision=precision)

    def detect(self, image: Picture, *, polygons: bool = False, characters: bool = False) -> Detections:
        """Find the words of one picture.

        Args:
            image: (H, W, 3) or (H, W) uint8 RGB or grey, a Pillow picture, or a path.
            polygons: fill in `Detections.polygons_xy`.
            characters: fill in `Detections.character_quads_xy`.

        Returns:
            The words, in source image pixels; none is normal.

        Raises:
            ValueError: the picture cannot be read, or is no uint8 picture.
        """
        (scored,) = self._score_window([load_picture(image)])
        return self._words(scored, polygons=polygons, characters=characters)

    def detect_many(
        self, images: Iterable[Picture], *, batch_size: int = 8, polygons: bool = False, characters: bool = False
    ) -> Iterator[Detections]:
        """Find the words of many pictures; those of one padded size go through the network together.

        Args:
            images: as in `detect`, of any sizes; read `batch_size` at a time.
            batch_size: most pictures in memory and in one pass of the network.
            polygons: as in `detect`.
            characters: as in `detect`.

        Yields:
            The words of each picture, in the order of the pictures.

        Raises:
            ValueError: a picture cannot be read, or `batch_size` is not positive.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; at least one picture goes through the network")
        remaining = iter(images)
        while window := [load_picture(image) for image in islice(remaining, batch_size)]:
            for scored in self._score_window(window):
                yield self._words(scored, polygons=polygons, characters=characters)

    def score_maps(self, image: Picture) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
        """Run the network on one picture.

        Args:
            image: as in `detect`.

        Returns:
            Region and affinity map, each (H, W) float32, and (2,) float64 source pixels per network input pixel,
            (x, y). The maps are without the padding unless `keep_padding` is set.
        """
        (scored,) = self._score_window([load_picture(image)])
        return scored.region, scored.affinity, scored.scale_xy

    def score(self, image: Picture) -> ScoredPicture:
        """Run the network on one picture, and keep what `judge` needs.

        Args:
            image: as in `detect`.

        Returns:
            The maps of `score_maps`, and features where there is a region head.
        """
        (scored,) = self._score_window([load_picture(image)])
        return scored

    def judge(
        self, scored: ScoredPicture, quads_xy: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> JudgedWords | None:
        """Let the region head judge words, whichever thresholds they were decoded at.

        Args:
            scored: the picture, from `score`.
            quads_xy: (N, 4, 2) float32, words from its maps, source image pixels.
            scores: (N,) float32, what the maps give them.

        Returns:
            What the head makes of each; None where the network has no region head.
        """
        path = self._region_path()
        if path is None:
            return None
        from craft.region.rescoring import judge_words  # imported here: without a head, torchvision is not needed

        return judge_words(
            path.head,
            scored.levels,
            quads_xy,
            scores,
            scored.scale_xy,
            size_hw=scored.size_hw,
            settings=self.settings,
        )

    def _words(self, scored: ScoredPicture, *, polygons: bool, characters: bool) -> Detections:
        """Decode, and let the region head judge where there is one."""
        found = words_from_maps(
            scored.region,
            scored.affinity,
            scored.scale_xy,
            settings=self.settings,
            polygons=polygons,
            characters=characters,
        )
        path = self._region_path()
        if path is None:
            return found
        from craft.region.rescoring import rescore_words  # imported here: without a head, torchvision is not needed

        return rescore_words(
            path.head, scored.levels, found, scored.scale_xy, size_hw=scored.size_hw, settings=self.settings
        )

    def _score_window(self, pictures: list[NDArray[np.uint8]]) -> list[ScoredPicture]:
        sizes_hw = [network_size(_size_hw(picture), self.settings) for picture in pictures]
        padded = [resize_and_pad(picture, size_hw) for picture, size_hw in zip(pictures, sizes_hw, strict=True)]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for index, pixels in enumerate(padded):
            by_shape.setdefault(pixels.shape, []).append(index)
        maps: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(pictures)
        levels: list[dict[str, Tensor]] = [{}] * len(pictures)
        for indices in by_shape.values():
            scored, features = self._score_padded(np.stack([padded[index] for index in indices]))
            for place, (index, pair) in enumerate(zip(indices, scored, strict=True)):
                maps[index] = pair
                levels[index] = {name: level[place : place + 1] for name, level in features.items()}
        found = []
        for picture, (height, width), pair, own in zip(pictures, sizes_hw, maps, levels, strict=True):
            if not self.settings.keep_padding:
                pair = pair[:, : -(-height // _MAP_STRIDE), : -(-width // _MAP_STRIDE)]
            scale_xy = _source_scale(_size_hw(picture), (height, width), self.settings)
            pair = np.ascontiguousarray(pair)
            found.append(ScoredPicture(pair[0], pair[1], scale_xy, own, _size_hw(picture)))
        return found

    def _score_padded(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], dict[str, Tensor]]:
        """What `_run` gives, in the memory of one tile where the pictures are large."""
        tile = self.settings.tile // _STRIDE * _STRIDE
        if tile == 0 or max(pixels.shape[1:3]) <= tile:
            return self._run(pixels)
        each = [score_tiles(picture, self._run, tile=tile) for picture in pixels]
        levels = {name: torch.cat([one[name] for _, one in each]) for name in each[0][1]}
        return np.stack([maps for maps, _ in each]), levels

    def _region_path(self) -> Any:
        """The network's region path, None where it has none."""
        return getattr(self.model, "region", None)

    def _run(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], dict[str, Tensor]]:
        """Both maps (B, 2, H/2, W/2) of pictures (B, H, W, 3) uint8, and the features that a region head reads.

        The network's training mode is left as it was.
        """
        images: Tensor = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)  # a view: channels last
        autocast = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == torch.bfloat16)
        with torch.inference_mode(), _evaluating(self.model), autocast:
            path = self._region_path()
            levels: dict[str, Tensor] = {}
            if path is None:
                maps, _ = self.model(normalise_images(images))
            else:
                maps, levels = cast(CRAFT, self.model).forward_levels(normalise_images(images))
                levels = {name: levels[name] for name in path.head.levels}
        return maps.float().contiguous().cpu().numpy(), levels


def words_from_maps(
    region: NDArray[np.float32],
    affinity: NDArray[np.float32],
    scale_xy: NDArray[np.float64],
    *,
    settings: DetectionSettings,
    polygons: bool = False,
    characters: bool = False,
) -> Detections:
    """Decode score maps into words in source pixels.

    Args:
        region: (H, W) float32, region scores.
        affinity: (H, W) float32, affinity scores.
        scale_xy: (2,) source pixels per network input pixel.
        settings: thresholds and the pixel rule.
        polygons: fill in `Detections.polygons_xy`.
        characters: fill in `Detections.character_quads_xy`.

    Returns:
        The words, in source image pixels.
    """
    words = decode_maps(
        region,
        affinity,
        text_threshold=settings.text_threshold,
        low_text=settings.low_text,
        link_threshold=settings.link_threshold,
    )
    if settings.least_score > 0 or settings.least_side > 0:
        words = keep_words(words, least_score=settings.least_score, least_side=settings.least_side)
    rule = settings.pixel_rule
    outlines = word_polygons(words, low_text=settings.low_text) if polygons else []
    parts = character_quads(region, words) if characters else []
    return Detections(
        quads_xy=to_pixels(words.quads, rule=rule, scale_xy=scale_xy),
        scores=words.scores,
        polygons_xy=[to_pixels(outline, rule=rule, scale_xy=scale_xy) for outline in outlines],
        character_quads_xy=[to_pixels(part, rule=rule, scale_xy=scale_xy) for part in parts],
    )


def load_picture(image: Picture) -> NDArray[np.uint8]:
    """Bring a picture into the one form that the network is fed from.

    Args:
        image: (H, W, 3) or (H, W) uint8, RGB or grey; a Pillow picture; or a path.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: the picture cannot be read, or the array is of another shape or type, or empty.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        return pillow_to_rgb(image)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(
            f"picture has shape {pixels.shape} and type {pixels.dtype}; pass (height, width, 3) uint8, RGB, not empty"
        )
    return pixels


def network_size(size_hw: tuple[int, int], settings: DetectionSettings) -> tuple[int, int]:
    """Size at which a picture enters the network, before padding.

    Args:
        size_hw: height and width of the source image.
        settings: the sizing rule and its numbers.

    Returns:
        Height and width in network input pixels, at least 1 each.
    """
    ratio = _ratio(size_hw, settings)
    return max(1, int(size_hw[0] * ratio)), max(1, int(size_hw[1] * ratio))


def resize_and_pad(picture: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a picture bilinearly and pad it with black, right and below, to multiples of 32.

    Args:
        picture: (H, W, 3) uint8.
        size_hw: height and width before padding.

    Returns:
        (H', W', 3) uint8.
    """
    height, width = size_hw
    padded = np.zeros((-(-height // _STRIDE) * _STRIDE, -(-width // _STRIDE) * _STRIDE, 3), dtype=np.uint8)
    padded[:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    return padded


def _ratio(size_hw: tuple[int, int], settings: DetectionSettings) -> float:
    longest = max(size_hw)
    if settings.sizing == "scale":
        return settings.magnify
    if settings.sizing == "long_side":
        return settings.long_side / longest
    return min(settings.magnify * longest, settings.canvas) / longest


def _source_scale(
    size_hw: tuple[int, int], network_hw: tuple[int, int], settings: DetectionSettings
) -> NDArray[np.float64]:
    """Source pixels per network input pixel, (x, y); the original leaves the rounding of the size out of account."""
    if settings.pixel_rule == "corner":
        return np.full(2, 1 / _ratio(size_hw, settings))
    return np.array([size_hw[1] / network_hw[1], size_hw[0] / network_hw[0]])


def _size_hw(picture: NDArray[np.uint8]) -> tuple[int, int]:
    return picture.shape[0], picture.shape[1]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, with every module's own mode put back afterwards: frozen batch norms stay as they were."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
