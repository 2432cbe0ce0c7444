"""Which pixels a run's OHEM rule keeps: where they lie on fixed training crops, with its weights at several steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from craft.config import Config
from craft.datasets.batch import Batch
from craft.datasets.loader import build_loader
from craft.datasets.reading import WeightedScenes
from craft.models.device import choose_device
from craft.models.weights import build_model, read_weights
from craft.ohem.loss import PixelLoss, pixel_loss
from craft.ohem.pixel import POSITIVE_TARGET
from craft.studies.pixel_locations import LOCATIONS, locate_pixels, location_shares
from craft.targets.heatmaps import Targets
from craft.training.batch import batch_targets
from craft.training.step import forward_maps, maps_loss

_SEED = 20_190_403  # of the crops: the same in every run
_MAPS = ("region", "affinity")


@dataclass(frozen=True, slots=True, eq=False)
class CropBatch:
    """Crops, their target maps, and the locations (B, H, W) uint8 of their map pixels."""

    batch: Batch
    targets: Targets
    locations: NDArray[np.uint8]


def load_crops(datasets: Sequence[WeightedScenes], config: Config, *, count: int) -> list[CropBatch]:
    """Load `count` training crops, rounded up to whole batches: the same for every run on these datasets.

    Seed and OHEM settings of the configuration do not matter.
    """
    size = config.training.batch_size
    loader = build_loader(
        [(dataset.scenes, dataset.weight) for dataset in datasets],
        seed=_SEED,
        crop_size=config.data.crop_size,
        augment=config.augment,
        batch_size=size,
        workers=0,
        start_position=0,
        on_error=config.data.on_error,
    )
    device = choose_device(config.training.device)
    return [
        CropBatch(batch, batch_targets(batch, device), np.stack([_locate(batch, index) for index in range(size)]))
        for batch in islice(loader, -(-count // size))
    ]


def examine_snapshots(
    folder: Path, config: Config, batches: Sequence[CropBatch], *, steps: Sequence[int]
) -> dict[str, Any]:
    """Examine which pixels a run keeps at several steps.

    Returns:
        Values for JSON. Per snapshot and map: the shares of the kept background's weight at each location, and of all
        background; the share of the gradient that comes from text pixels; and a loss that means the same for every
        rule, the mean squared error over text plus that over all background.
    """
    snapshots = [{"step": step, **_examine(folder, config, batches, step)} for step in steps]
    crops = sum(len(crops.batch.names) for crops in batches)
    return {"places": list(LOCATIONS), "crops": crops, "snapshots": snapshots}


def load_snapshot(folder: Path, step: int, device: torch.device) -> torch.nn.Module:
    """Load the network as it was after a step, in training mode, so that batch norm works as it did in training."""
    model = build_model(read_weights(folder / "snapshots" / f"step_{step}.safetensors"))
    return model.to(device).to(memory_format=torch.channels_last).train()


def _examine(folder: Path, config: Config, batches: Sequence[CropBatch], step: int) -> dict[str, Any]:
    device = choose_device(config.training.device)
    model = load_snapshot(folder, step, device)
    kept: list[Any] = []
    background: list[Any] = []
    gradient, common, counts = [], [], []
    for crops in batches:
        with torch.no_grad():
            scores, _features = forward_maps(model, crops.batch, config, device)
            loss = maps_loss(scores, crops.batch, crops.targets, config, step=step - 1)
        weights = loss.weights.cpu().numpy()  # (B, 2, H, W)
        maps, confidence = crops.targets.maps.cpu().numpy(), crops.targets.confidence.cpu().numpy()
        negative = (confidence > 0) & (maps <= POSITIVE_TARGET)
        pull = weights * confidence * np.abs(scores.float().cpu().numpy() - maps)
        everything = _common_loss(scores, crops, device)
        common.append([float(everything.region), float(everything.affinity)])
        counts.append(loss.kept_negatives.float().mean(dim=0).tolist())
        for values, weight in ((kept, weights), (background, np.ones_like(weights))):
            values.append(
                [location_shares(weight[:, index] * negative[:, index], crops.locations) for index in range(2)]
            )
        share = (pull * (maps > POSITIVE_TARGET)).sum(axis=(0, 2, 3)) / np.maximum(pull.sum(axis=(0, 2, 3)), 1e-30)
        gradient.append(share.tolist())
    return {
        name: {
            "kept_shares": np.mean(kept, axis=0)[index].tolist(),
            "background_shares": np.mean(background, axis=0)[index].tolist(),
            "positive_gradient": float(np.mean(gradient, axis=0)[index]),
            "common_loss": float(np.mean(common, axis=0)[index]),
            "kept_negatives": float(np.mean(counts, axis=0)[index]),
        }
        for index, name in enumerate(_MAPS)
    }


def _common_loss(scores: torch.Tensor, crops: CropBatch, device: torch.device) -> PixelLoss:
    seeds = crops.batch.seeds.to(device)
    return pixel_loss(
        scores, crops.targets.maps, crops.targets.confidence, seeds, rule="all", ratio=1.0, min_negatives=0
    )


def _locate(batch: Batch, index: int) -> NDArray[np.uint8]:
    image = batch.images[index].permute(1, 2, 0).contiguous().numpy()  # (H, W, 3)
    strips = batch.word_image[batch.strip_word] == index
    characters = batch.word_image[batch.character_word] == index
    return locate_pixels(
        image,
        batch.strip_quads_xy[strips],
        batch.strip_word[strips],
        batch.character_quads_xy[characters],
        batch.character_word[characters],
    )
