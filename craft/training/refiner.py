"""Trains a LinkRefiner: CRAFT frozen, lines as targets, rendered or read from line-level labels."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from craft.config import DatasetSettings, OptimizerSettings
from craft.datasets.reading import read_scenes
from craft.datasets.scene_source import read_scene_image
from craft.datasets.warp import warp_image
from craft.geometry import MAP_STRIDE, transform_points
from craft.models.device import choose_device, choose_precision
from craft.models.freezing import freeze_batch_norm
from craft.models.inference import run_network
from craft.models.refiner import FEATURES, LinkRefiner, refiner_metadata
from craft.models.weights import build_model, read_weights, save_safetensors
from craft.ohem.pixel import POSITIVE_TARGET, select_pixels
from craft.scene import Scene
from craft.synth.source import synthetic_scenes
from craft.targets.lines import draw_lines, scene_lines
from craft.training.schedule import build_optimizer, learning_rate_at

Echo = Callable[[str], None]
RENDERED = DatasetSettings(
    format="synth",
    preset="full",
    settings={
        "size_hw": [512, 512],
        "layouts": {"sign": 3.0, "paragraph": 2.0, "menu": 1.0, "curved": 3.0, "vertical": 0.3},
    },
)
"""Scenes with lines of several words, straight and curved."""

_OPTIMIZER = OptimizerSettings(learning_rate=2e-3, warmup_steps=50)
_RATIO, _MIN_NEGATIVES = 3.0, 512  # hardest background pixels per line pixel, as for CRAFT's maps
_CROPS_OF_A_SCENE = 2  # neighbouring crops come from one scene, whose image takes longer to make than a crop
_ZOOM = (0.6, 1.6)
_TURN = 15.0  # degrees
_LOG_EVERY = 50


class LineCrops(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Square crops around words, with link targets; crop `index` depends on it and the seed alone."""

    def __init__(self, scenes: Sequence[Scene], *, count: int, size: int, seed: int) -> None:
        self._scenes, self._count, self._size, self._seed = scenes, count, size, seed
        self._kept: tuple[int, Any, Any] = (-1, None, None)  # the last group of crops, its scene and image

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Image (3, S, S) uint8, link target (S/2, S/2) float32 and cared-for pixels (S/2, S/2) bool."""
        generator = np.random.default_rng([self._seed, index])
        group = index // _CROPS_OF_A_SCENE
        if group != self._kept[0]:
            number = int(np.random.default_rng([self._seed, group, 1]).integers(len(self._scenes)))
            scene = self._scenes[number]
            self._kept = (group, scene, read_scene_image(scene))
        _, scene, image = self._kept
        centres = [word.polygon_xy.mean(axis=0) for word in scene.words] or [np.array(image.shape[1::-1]) / 2]
        zoom = float(np.exp(generator.uniform(*np.log(_ZOOM))))
        turn = np.radians(generator.uniform(-_TURN, _TURN))
        across, down = zoom * np.cos(turn), zoom * np.sin(turn)
        matrix = np.array([[across, -down, 0.0], [down, across, 0.0], [0.0, 0.0, 1.0]])
        middle = centres[int(generator.integers(len(centres)))] + generator.uniform(-0.3, 0.3, 2) * self._size / zoom
        matrix[:2, 2] = 0.5 * self._size - matrix[:2, :2] @ middle
        lines = [(transform_points(polygon, matrix), ignored) for polygon, ignored in scene_lines(scene.words)]
        side = self._size // MAP_STRIDE
        target, care = draw_lines(lines, map_size_hw=(side, side))
        pixels = warp_image(image, matrix, size_hw=(self._size, self._size))
        return torch.from_numpy(pixels).permute(2, 0, 1), torch.from_numpy(target), torch.from_numpy(care)


def train_refiner(
    weights: str | Path,
    out: str | Path,
    *,
    datasets: Sequence[DatasetSettings] = (),
    steps: int = 1000,
    batch_size: int = 4,
    crop_size: int = 384,
    seed: int = 0,
    workers: int = 0,
    device: str = "auto",
    echo: Echo = print,
) -> float:
    """Train a LinkRefiner on the maps and features of a network that does not change, and write it.

    Raises ValueError if the network or a dataset cannot be read; FloatingPointError if the loss is not finite.

    Args:
        datasets: labelled lines, or words with their lines; rendered scenes (`RENDERED`) if none are given.
        crop_size: side of the training crops in network input pixels, a multiple of 32.

    Returns:
        Mean loss of the last steps: mean error of line pixels plus that of the hardest background pixels.
    """
    network = build_model(read_weights(weights)).eval().requires_grad_(False)
    metadata = refiner_metadata(network)
    freeze_batch_norm(network)
    place = choose_device(device)
    precision = choose_precision("auto", place)
    network.to(place).to(memory_format=torch.channels_last)
    features = network.level_channels[FEATURES]
    refiner = LinkRefiner(features, channels=2 * features, generator=torch.Generator().manual_seed(seed)).to(place)
    optimizer = build_optimizer(refiner, _OPTIMIZER)
    crops = LineCrops(_read(datasets, echo), count=steps * batch_size, size=crop_size, seed=seed)
    recent: list[float] = []
    for step, batch in enumerate(DataLoader(crops, batch_size, num_workers=workers)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps=steps, settings=_OPTIMIZER)
        images, target, care = (part.to(place) for part in batch)
        with torch.no_grad():
            maps, levels = run_network(network, images, precision=precision)
        with torch.autocast(place.type, torch.bfloat16, enabled=precision == torch.bfloat16):
            links = refiner(maps, levels[FEATURES])
        loss = link_loss(links[:, 0], target, care)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(refiner.parameters(), _OPTIMIZER.gradient_clip)
        optimizer.step()
        recent = [*recent[1 - _LOG_EVERY :], loss.item()]
        if not np.isfinite(recent[-1]):
            raise FloatingPointError(f"the loss is {recent[-1]} at step {step + 1}; nothing was written")
        if (step + 1) % _LOG_EVERY == 0:
            echo(f"step {step + 1} of {steps}: loss {np.mean(recent):.4f}")
    save_safetensors(refiner, out, metadata)
    return float(np.mean(recent))


def link_loss(links: Tensor, target: Tensor, care: Tensor) -> Tensor:
    """Mean squared error of line pixels plus that of the hardest background pixels, per image, averaged over (B, H, W)."""
    difference = links.float() - target
    seeds = torch.zeros(len(links), dtype=torch.int64, device=links.device)  # the rule draws nothing
    kept = select_pixels(
        "hardest",
        difference.detach().square(),
        target > POSITIVE_TARGET,
        care,
        seeds,
        ratio=_RATIO,
        min_negatives=_MIN_NEGATIVES,
    )
    return (kept.weights * difference.square()).sum(dim=(1, 2)).mean()


def _read(datasets: Sequence[DatasetSettings], echo: Echo) -> Sequence[Scene]:
    if not datasets:
        echo(f"{RENDERED.title}: lines rendered on the fly")
        return synthetic_scenes(RENDERED)
    return [scene for dataset in datasets for scene in read_scenes(dataset, on_error="skip", echo=echo)]
