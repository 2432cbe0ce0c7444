"""One step of training: load, forward, loss, backward, finite check, step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from craft.config import Config
from craft.datasets.batch import Batch
from craft.distributed.processes import Processes
from craft.models.craft import normalise_images
from craft.models.device import choose_precision
from craft.ohem.loss import PixelLoss, pixel_loss
from craft.region.training import RegionTraining
from craft.targets.heatmaps import Targets
from craft.training.batch import batch_targets
from craft.training.finite_check import FiniteWatch
from craft.training.meter import IntervalMeter
from craft.training.schedule import mining_ratio_at
from craft.training.state import RunState


def train_step(
    config: Config,
    state: RunState,
    batches: Iterator[Batch],
    processes: Processes,
    meter: IntervalMeter,
    watch: FiniteWatch,
    rate: float,
    regions: RegionTraining | None,
) -> tuple[Batch, Targets, PixelLoss]:
    """Do one optimizer step over `accumulate` batches.

    Args:
        config: the run's settings.
        state: network, optimizer and average; changed in place, one step further.
        batches: where batches come from.
        processes: this process's place and device.
        meter: given the step's measures.
        watch: given the step's loss, to stop the run should it not be finite.
        rate: learning rate.
        regions: the region path's part of the loss, None where it is off.

    Returns:
        The last batch, its targets and its loss.

    Raises:
        FloatingPointError: the loss of this step, or of an earlier one, was not finite.
    """
    accumulate = config.optimizer.accumulate
    measured = torch.zeros(7, device=processes.device)
    images = 0
    for index in range(accumulate):
        start = time.perf_counter()
        batch = next(batches)
        meter.add_wait(time.perf_counter() - start)
        images += len(batch.images)
        targets = batch_targets(batch, processes.device)
        synchronised = _synchronised_only(state.network, last=index == accumulate - 1)
        with synchronised, _algorithms_by_trial(processes.device):
            maps, features = forward_maps(state.network, batch, config, processes.device)
            loss = maps_loss(maps, batch, targets, config, step=state.step)
            total = loss.loss
            if regions is not None:
                total = total + config.region.weight * regions.loss(maps, features, batch)
            (total / accumulate).backward()
        measured += _measures(loss) / accumulate
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.optimizer.gradient_clip)
    state.step += 1
    watch.add(state.step, measured[0], norm, batch)
    watch.check(wait=False)

    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    if state.average is not None and state.average_rule is not None:
        state.average.update_parameters(state.model)
        state.average_rule.updates = state.step
    meter.add(torch.cat([measured[:3], norm.detach().reshape(1), measured[3:]]), images=images)
    return batch, targets, loss


def forward_loss(
    network: nn.Module, batch: Batch, targets: Targets, config: Config, device: torch.device, *, step: int
) -> PixelLoss:
    """Run the network over a batch and compute the loss of its score maps.

    Args:
        network: the network, wrapped or not.
        batch: crops, as loaded.
        targets: the batch's maps on the device.
        config: precision and OHEM settings.
        device: where the network runs.
        step: the step about to be done, from 0.

    Returns:
        The loss and what it kept.
    """
    maps, _features = forward_maps(network, batch, config, device)
    return maps_loss(maps, batch, targets, config, step=step)


def forward_maps(network: nn.Module, batch: Batch, config: Config, device: torch.device) -> tuple[Tensor, Any]:
    """Run the network over a batch.

    Args:
        network: the network, wrapped or not.
        batch: crops, as loaded.
        config: precision.
        device: where the network runs.

    Returns:
        What the network gives: score maps (B, 2, H, W), and features, by level where there is a region path.
    """
    images = batch.images.to(device, non_blocking=True)
    precision = choose_precision(config.training.precision, device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
        return network(normalise_images(images).contiguous(memory_format=torch.channels_last))


def maps_loss(maps: Tensor, batch: Batch, targets: Targets, config: Config, *, step: int) -> PixelLoss:
    """Compute the loss of a batch's score maps.

    Args:
        maps: (B, 2, H, W), from `forward_maps`.
        batch: crops, as loaded.
        targets: the batch's maps on the device.
        config: OHEM settings.
        step: the step about to be done, from 0.

    Returns:
        The loss and what it kept.
    """
    return pixel_loss(
        maps,
        targets.maps,
        targets.confidence,
        batch.seeds.to(maps.device, non_blocking=True),
        rule=config.ohem.rule,
        ratio=mining_ratio_at(step, steps=config.training.steps, settings=config.ohem),
        min_negatives=config.ohem.min_negatives,
        scope=config.ohem.scope,
    )


def _measures(loss: PixelLoss) -> Tensor:
    """(7,) float32: the loss and its parts, then positives and negatives kept per image, in the order of the meter."""
    parts = torch.stack([loss.loss.detach(), loss.region.detach(), loss.affinity.detach()])
    return torch.cat([parts, loss.kept_positives.float().mean(dim=0), loss.kept_negatives.float().mean(dim=0)])


@contextlib.contextmanager
def _algorithms_by_trial(device: torch.device) -> Iterator[None]:
    """Let cuDNN try its algorithms once per shape: crops have one shape for the whole run, unlike scenes validated."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _synchronised_only(network: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[None]:
    """Gradients cross between processes only with the last batch of a step."""
    if isinstance(network, DistributedDataParallel) and not last:
        return network.no_sync()
    return contextlib.nullcontext()
