"""The EasyOCR trainer's way to label a word's characters, run from its checkout; for labelling.py."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from craft.scene import Scene
from craft.targets.characters import num_missing_characters
from craft.teacher.crop_batches import reading_frames
from craft.teacher.word_crops import crop_word

THEIR_HEIGHT = 128  # pixels, of every crop


def drawn_map(
    size_hw: tuple[int, int], box_xyxy: tuple[float, ...], length: int, *, downwards: bool = False
) -> NDArray[np.uint8]:
    """The region map, in 255ths, of as many equally wide characters as a word has, side by side in its rectangle."""
    if downwards:
        left, top, right, bottom = box_xyxy
        return drawn_map(size_hw[::-1], (top, left, bottom, right), length).T
    left, top, right, bottom = box_xyxy
    across = np.abs(np.arange(size_hw[1]) + 0.5 - left)[:, None] - (np.arange(length) + 0.5) * (right - left) / length
    u = np.abs(across).min(axis=1) / (0.75 * (right - left) / length)
    v = (np.arange(size_hw[0]) + 0.5 - 0.5 * (top + bottom)) / (0.75 * (bottom - top))
    squared = u**2 + v[:, None] ** 2
    return np.round(255 * np.where(squared <= 1, np.exp(-squared / 0.32), 0)).astype(np.uint8)


class EasyOcr:
    """The trainer's builder of characters; with maps of the run before, or with crops of ours, where asked."""

    def __init__(
        self,
        checkout: Path,
        model: nn.Module,
        scenes: list[Scene],
        pictures: dict[str, NDArray[np.uint8]],
        device: torch.device,
        drawn: bool,
    ) -> None:
        sys.path.insert(0, str(checkout))
        module = importlib.import_module("data.pseudo_label.make_charbox")
        if device.type == "cpu":
            Tensor.cuda = lambda self, *_arguments, **_names: self  # type: ignore[method-assign]
        self._builder = module.PseudoCharBoxBuilder(types.SimpleNamespace(version="skimage"), None, False, None)
        self._split = module.exec_watershed_by_version
        self._network, self._drawn = TheirShape(model), drawn
        self._words = [(pictures[scene.image_path], word) for scene in scenes for word in scene.words]
        self._crops: list[Any] = []
        self._maps: list[Tensor] = []

    def split(self, levels: NDArray[np.uint8]) -> int:
        """How many characters their watershed finds in a map."""
        return len(self._split(self._builder.watershed_param, levels, None, False))

    def network(self) -> None:
        builder = self._builder
        for picture, word in self._words:
            builder.build_char_box(self._network, 0, picture, word.polygon_xy.copy(), word.text)

    def replayed(self) -> None:
        infer, self._calls = self._builder.inference_word_box, 0
        self._builder.inference_word_box = self._replay
        self._infer = infer
        try:
            self.network()
        finally:
            self._builder.inference_word_box = infer

    def _replay(self, network: nn.Module, gpu: int, image: NDArray[np.uint8]) -> Tensor:
        if self._calls == len(self._maps):  # the run that warms up
            if self._drawn:
                height, width = image.shape[0] // 2, image.shape[1] // 2
                length = num_missing_characters(self._words[self._calls][1])
                levels = drawn_map((height, width), (0, 0, width, height), length)
                self._maps.append(torch.from_numpy(levels / np.float32(255))[None, :, :, None])
            else:
                self._maps.append(self._infer(network, gpu, image))
        self._calls += 1
        return self._maps[self._calls - 1]

    def on_our_crops(self) -> None:
        """Their way, one word a pass, handed our crops of their height, every one drawn anew."""
        own = self._builder.crop_image_by_bbox
        self._builder.crop_image_by_bbox = our_crop
        try:
            self.network()
        finally:
            self._builder.crop_image_by_bbox = own


def our_crop(image: NDArray[np.uint8], box: NDArray[np.float32], word: str) -> tuple[NDArray[np.uint8], Any, bool]:
    frame = reading_frames(box, 1, height=THEIR_HEIGHT)[0]
    return crop_word(image, frame), np.linalg.inv(frame.matrices[0]), True


class TheirShape(nn.Module):
    """The network with the maps' axes as their code has them, (B, H, W, 2)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        return self.model(images)[0].permute(0, 2, 3, 1), None
