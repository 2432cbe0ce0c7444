"""The detector: a network with its sizes and thresholds, from images to words in source image pixels.

torch is imported for weights alone: exported networks run without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from craft.config import DetectionSettings, validate_config
from craft.decode.crops import text_crops
from craft.decode.detections import Detections, join
from craft.decode.words import words_from_maps
from craft.detection import sizing
from craft.detection.network_files import read_network
from craft.detection.scored_image import ScoredImage, score_images
from craft.detection.tiling import MARGIN
from craft.evaluation.calibration import calibrate
from craft.images.image_like import ImageLike, load_image
from craft.memory import bound_memory_of_sizes, release_freed_memory, reuse_features
from craft.models.exported import ExportedNetwork, is_exported
from craft.models.shipped import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from craft.region.rescoring import JudgedWords


class Detector:
    """A network with its sizes and thresholds. Several threads may share one: detection changes nothing in it."""

    model: nn.Module | ExportedNetwork  # in evaluation mode; not copied, so that later changes of its weights count
    device: Any  # where the network runs, "cpu" for exported networks
    precision: Any  # the type that autocast computes in, or that of the exported network

    def __init__(
        self,
        model: nn.Module | ExportedNetwork,
        settings: DetectionSettings,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        """Set up a network for detection.

        Raises ValueError if the device or precision is unknown or not available.

        Args:
            model: the network, moved to `device` and put in evaluation mode in place; or an exported one.
            device: "auto" (cuda, else mps, else cpu), "cpu", "cuda" or "mps".
            precision: "auto" (bf16 if the device computes in it), "fp32" or "bf16"; of no effect on exported networks.
        """
        self.settings = settings
        self.weights = ""  # where the network comes from, if `from_weights` read it
        if isinstance(model, ExportedNetwork):
            if device not in ("auto", "cpu"):
                raise ValueError(f"{model.source}: exported networks run on the CPU; leave out --device {device}")
            self.model, self.device, self.precision = model, "cpu", model.precision
            return
        from craft.models.device import choose_device, choose_precision

        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.model = model.to(self.device).eval()

    @classmethod
    def from_weights(
        cls,
        path: str | Path = DEFAULT_WEIGHTS,
        *,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
        refiner: str | Path | None = None,
        **overrides: Any,
    ) -> Self:
        """Read weights or an exported network, and the settings that travel with them.

        `device` and `precision` are as in `Detector`. The process is kept from growing with every new image size, see
        `craft.memory.bound_memory_of_sizes`. Raises ValueError if the file cannot be read, or a setting is unknown or out
        of range.

        Args:
            path: weights in any readable format, or a name: "small", "mlt". Files in the original format carry no settings:
                they get the original's pixel rule, and keep the padding in the maps. Or a file of `craft export`.
            backend: "auto" (by the file's ending), "torch", "onnx" or "openvino".
            refiner: a LinkRefiner in a file, whose links join the words of a line: the detector then finds lines.
            **overrides: fields of `DetectionSettings` that replace those in the file: text_threshold=0.6.
        """
        bound_memory_of_sizes()
        model: nn.Module | ExportedNetwork
        if is_exported(path):
            if refiner is not None:
                raise ValueError(f"{path}: a LinkRefiner needs features, which exported networks lack; give weights")
            model = ExportedNetwork(path, backend=backend, precision=precision)
            metadata = model.metadata
        else:
            model, metadata = read_network(path, backend, refiner)
        carried = metadata.get("detection", {"pixel_rule": "corner", "keep_padding": True})
        config = validate_config(
            {"detection": {**carried, **overrides}, "region": {"enabled": "region" in metadata}},
            where=str(path),
            given={"detection": overrides},
        )
        detector = cls(model, config.detection, device=device, precision=precision)
        detector.weights = str(path)
        return detector

    @property
    def has_region_head(self) -> bool:
        """Whether the network has a region head, which judges words after decoding."""
        return self._region_path() is not None

    def __repr__(self) -> str:
        kind = self.settings.sizing
        how = f"long side {self.settings.long_side}" if kind == "long_side" else f"x {self.settings.magnify:g}"
        precision = str(self.precision).removeprefix("torch.")
        return f"<Detector: {self.weights or type(self.model).__name__}, {kind} {how}, on {self.device} in {precision}>"

    def detect(
        self, image: ImageLike, *, polygons: bool = False, characters: bool = False, progress: bool = False
    ) -> Detections:
        """Find the words of one image, in source image pixels.

        Raises ValueError if the image cannot be read, or is not uint8; or the network was put in training mode.

        Args:
            image: a path, a Pillow image, bytes or an array, as in `load_image`.
            polygons: fill in `Detections.polygons_xy`.
            characters: fill in `Detections.character_quads_xy`.
            progress: show the progress of an image that is scored in tiles on standard error.
        """
        (found,) = self._find([load_image(image)], polygons=polygons, characters=characters, progress=progress)
        return replace(found, image_path=str(image)) if isinstance(image, str | Path) else found

    def detect_many(
        self, images: Iterable[ImageLike], *, batch_size: int = 8, polygons: bool = False, characters: bool = False
    ) -> Iterator[Detections]:
        """Find the words of many images, in order; those of one padded size go through the network together.

        Images and options are as in `detect`; at most `batch_size` images are in memory and in one pass of the network.
        Raises ValueError if an image cannot be read, or `batch_size` is not positive.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; at least one image goes through the network")
        if isinstance(images, str | Path):
            raise ValueError("images is a single image; pass a list, or call detect")
        remaining = iter(images)
        while window := list(islice(remaining, batch_size)):
            pixels = [load_image(image) for image in window]
            found = self._find(pixels, polygons=polygons, characters=characters)
            for image, words in zip(window, found, strict=True):
                yield replace(words, image_path=str(image)) if isinstance(image, str | Path) else words

    def crops(
        self, image: ImageLike, found: Detections | None = None, *, lines: bool = False
    ) -> list[NDArray[np.uint8]]:
        """Cut the words, or lines, of an image out and turn them upright, (h, w, 3) uint8 RGB each, in reading order.

        `found` are its words where they are known; else they are detected first.
        """
        pixels = load_image(image)
        return text_crops(pixels, self.detect(pixels) if found is None else found, lines=lines)

    def score_maps(self, image: ImageLike) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
        """Run the network on one image, as in `detect`; gives region and affinity map, and the scale.

        The maps are (H, W) float32, without the padding unless `keep_padding` is set; the scale is (2,) float64, source
        pixels per network input pixel, (x, y).
        """
        return self.score(image)[:3]

    def score(self, image: ImageLike, *, progress: bool = False) -> ScoredImage:
        """Run the network on one image, and keep what `judge` needs."""
        (scored,) = score_images(
            [load_image(image)], self._run, settings=self.settings, margin=self._margin, progress=progress
        )
        return scored

    def judge(
        self, scored: ScoredImage, quads_xy: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> JudgedWords | None:
        """Let the region head judge words, whatever thresholds they were decoded at; None without a head.

        `quads_xy` are words (N, 4, 2) from the maps in source image pixels, `scores` (N,) theirs by the maps.
        """
        path = self._region_path()
        if path is None:
            return None
        from craft.region.rescoring import judge_words  # imported here: torchvision is needed with a head only

        return judge_words(
            path.head, scored.levels, quads_xy, scores, scored.scale_xy, size_hw=scored.size_hw, settings=self.settings
        )

    def _find(
        self, images: list[NDArray[np.uint8]], *, polygons: bool, characters: bool, progress: bool = False
    ) -> list[Detections]:
        """Search images, at other scales too with sizing by content."""

        def search(
            pixels: list[NDArray[np.uint8]], settings: DetectionSettings
        ) -> Iterator[tuple[ScoredImage, Detections]]:
            for scored in score_images(pixels, self._run, settings=settings, margin=self._margin, progress=progress):
                yield scored, self._words(scored, polygons=polygons, characters=characters)

        found = []
        for image, (scored, first) in zip(images, search(images, self.settings), strict=True):
            found.append(first)
            if self.settings.sizing != "auto":
                continue
            if self._hides_text(image, scored.region, first):
                ((_, second),) = search([image], _at_scale(self.settings, self.settings.magnify))
                found[-1] = sizing.merge_passes(first, second)
            ((_, coarse),) = search([image], _at_scale(self.settings, sizing.COARSE * first.scales[0]))
            found[-1] = sizing.add_large_words(coarse, found[-1])
        release_freed_memory()
        return found

    def _hides_text(self, image: NDArray[np.uint8], region: NDArray[np.float32], first: Detections) -> bool:
        """Whether the first pass shrank an image with text that is too small for it."""
        if not sizing.is_shrunk(first, full=self.settings.magnify):
            return False
        if sizing.has_small_words(first):
            return True
        windows = sizing.windows_to_try(image, region, first, full=self.settings.magnify)
        settings = _at_scale(self.settings, self.settings.magnify)
        scored = score_images([image[window] for window in windows], self._run, settings=settings, margin=self._margin)
        starts = [np.array([left.start, top.start], np.float32) for top, left in windows]
        seen = [self._words(one, polygons=False, characters=False) for one in scored]
        moved = [replace(one, quads_xy=one.quads_xy + start) for one, start in zip(seen, starts, strict=True)]
        return sizing.has_missed(first, join(moved))

    def _words(self, scored: ScoredImage, *, polygons: bool, characters: bool) -> Detections:
        """Decode, and let the region head judge if there is one."""
        found = words_from_maps(*scored[:3], settings=self.settings, polygons=polygons, characters=characters)
        found = replace(found, size_hw=scored.size_hw, scales=(scored.scale,))
        path = self._region_path()
        if path is not None:
            from craft.region.rescoring import rescore_words  # imported here: torchvision is needed with a head only

            found = rescore_words(
                path.head, scored.levels, found, scored.scale_xy, size_hw=scored.size_hw, settings=self.settings
            )
        return replace(found, scores=calibrate(found.scores, self.settings.calibration), raw_scores=found.scores)

    def _region_path(self) -> Any:
        """The network's region path, None if it has none."""
        return getattr(self.model, "region", None)

    @property
    def _margin(self) -> int:
        """Network input pixels around a tile's own part that its maps depend on."""
        return MARGIN + getattr(self.model, "further_reach", 0)

    def _run(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], dict[str, Tensor]]:
        """Both maps (B, 2, H/2, W/2) of images (B, H, W, 3) uint8, and the features that a region head reads."""
        if isinstance(self.model, ExportedNetwork):
            return self.model(pixels), {}
        reuse_features(pixels.size // 3)
        from craft.models.inference import score_pixels

        path = self._region_path()
        levels = () if path is None else path.head.levels
        return score_pixels(self.model, pixels, device=self.device, precision=self.precision, levels=levels)


def _at_scale(settings: DetectionSettings, scale: float) -> DetectionSettings:
    return settings.model_copy(update={"sizing": "scale", "magnify": scale})
