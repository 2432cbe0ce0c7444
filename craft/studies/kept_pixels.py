"""Look at what mining keeps: fixed training crops, a run's weights at several steps, and where the kept pixels lie."""

from __future__ import annotations

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
from craft.datasets.collection import WeightedScenes
from craft.datasets.loader import build_loader
from craft.models.device import choose_device
from craft.models.weights import build_model, read_weights
from craft.ohem.loss import PixelLoss, pixel_loss
from craft.ohem.pixel import POSITIVE_TARGET
from craft.studies.pixel_locations import PLACES, map_places, place_shares
from craft.targets.heatmaps import Targets
from craft.training.batch import batch_targets
from craft.training.step import forward_maps, maps_loss

# Crops for looking at come from a seed of their own, the same in every run.
_SEED = 20_190_403
_MAPS = ("region", "affinity")


@dataclass(frozen=True, slots=True, eq=False)
class ProbeBatch:
    """Crops that are looked at.

    Attributes:
        batch: the crops.
        targets: their maps.
        places: (B, H, W) uint8, where each map pixel lies.
    """

    batch: Batch
    targets: Targets
    places: NDArray[np.uint8]


def probe_batches(sets: Sequence[WeightedScenes], config: Config, *, count: int) -> list[ProbeBatch]:
    """Load the crops that are looked at.

    Args:
        sets: the run's training sets.
        config: the run's settings; seed and OHEM do not matter.
        count: crops, rounded up to whole batches.

    Returns:
        The same batches for every run on these sets.
    """
    size = config.training.batch_size
    loader = build_loader(
        [(one.scenes, one.weight) for one in sets],
        seed=_SEED,
        crop_size=config.data.crop_size,
        augment=config.augment,
        batch_size=size,
        workers=0,
        start_position=0,
    )
    device = choose_device(config.training.device)
    return [
        ProbeBatch(batch, batch_targets(batch, device), np.stack([_places(batch, index) for index in range(size)]))
        for batch in islice(loader, -(-count // size))
    ]


def probe_run(folder: Path, config: Config, batches: Sequence[ProbeBatch], *, steps: Sequence[int]) -> dict[str, Any]:
    """Look at a run's snapshots.

    Args:
        folder: the run folder, with its snapshots.
        config: the run's settings.
        batches: crops to look at.
        steps: of the snapshots.

    Returns:
        Plain values for JSON: the places' names, and per snapshot and map the shares of the kept background's weight
        in each place, of all background, and of the gradient that comes from text pixels; and a loss that means the
        same for every rule: the mean squared error over text plus that over all background.
    """
    looked = [{"step": step, **_look(folder, config, batches, step)} for step in steps]
    return {"places": list(PLACES), "crops": sum(len(one.batch.names) for one in batches), "snapshots": looked}


def load_snapshot(folder: Path, step: int, device: torch.device) -> torch.nn.Module:
    """The network as it was after a step, in training mode, so that batch norm sees a batch as it did in training."""
    model = build_model(read_weights(folder / "snapshots" / f"step_{step}.safetensors"))
    return model.to(device).to(memory_format=torch.channels_last).train()


def _look(folder: Path, config: Config, batches: Sequence[ProbeBatch], step: int) -> dict[str, Any]:
    device = choose_device(config.training.device)
    model = load_snapshot(folder, step, device)
    kept: list[Any] = []
    background: list[Any] = []
    gradient, common, counts = [], [], []
    for one in batches:
        with torch.no_grad():
            scores, _features = forward_maps(model, one.batch, config, device)
            loss = maps_loss(scores, one.batch, one.targets, config, step=step - 1)
        weights = loss.weights.cpu().numpy()  # (B, 2, H, W)
        maps, confidence = one.targets.maps.cpu().numpy(), one.targets.confidence.cpu().numpy()
        negative = (confidence > 0) & (maps <= POSITIVE_TARGET)
        pull = weights * confidence * np.abs(scores.float().cpu().numpy() - maps)
        everything = _common_loss(scores, one, device)
        common.append([float(everything.region), float(everything.affinity)])
        counts.append(loss.kept_negatives.float().mean(dim=0).tolist())
        for values, weight in ((kept, weights), (background, np.ones_like(weights))):
            values.append([place_shares(weight[:, index] * negative[:, index], one.places) for index in range(2)])
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


def _common_loss(scores: torch.Tensor, one: ProbeBatch, device: torch.device) -> PixelLoss:
    seeds = one.batch.seeds.to(device)
    return pixel_loss(scores, one.targets.maps, one.targets.confidence, seeds, rule="all", ratio=1.0, min_negatives=0)


def _places(batch: Batch, index: int) -> NDArray[np.uint8]:
    image = batch.images[index].permute(1, 2, 0).contiguous().numpy()  # (H, W, 3)
    strips = batch.word_image[batch.strip_word] == index
    characters = batch.word_image[batch.character_word] == index
    return map_places(
        image,
        batch.strip_quads_xy[strips],
        batch.strip_word[strips],
        batch.character_quads_xy[characters],
        batch.character_word[characters],
    )
