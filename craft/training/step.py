"""One step of training: load, forward, loss, backward, finite check, step; with a teacher's maps as targets if asked for."""

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from craft.config import Config
from craft.datasets.batch import Batch
from craft.distributed.processes import Processes
from craft.models.device import choose_precision
from craft.models.fusing import fuse_layers
from craft.models.inference import run_network
from craft.models.weights import build_model, read_weights
from craft.ohem.loss import PixelLoss, pixel_loss
from craft.region.training import RegionTraining
from craft.targets.heatmaps import Targets
from craft.training.batch import batch_targets
from craft.training.finite_check import FiniteWatch
from craft.training.meter import IntervalMeter
from craft.training.schedule import mining_ratio_at
from craft.training.state import RunState

OUT_OF_MEMORY = torch.OutOfMemoryError


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
    """Do one optimizer step over `accumulate` batches, which moves `state` one step on.

    Raises FloatingPointError if the loss of this step, or of an earlier one, was not finite.

    Returns:
        The last batch, its targets and its loss: against the labels, or against the teacher's maps where these count alone.
    """
    accumulate = config.optimizer.accumulate
    measured = torch.zeros(7, device=processes.device)
    images = 0
    for index in range(accumulate):
        with meter.waiting():
            batch = next(batches)
        images += len(batch.images)
        pixels = batch.images.to(processes.device, non_blocking=True)
        synchronised = _synchronised_only(state.network, last=index == accumulate - 1)
        with synchronised, _cudnn_benchmark(processes.device):
            precision = choose_precision(config.training.precision, processes.device)
            maps, levels = run_network(state.network, pixels, precision=precision)
            targets, loss, total = _losses(maps, pixels, batch, config, step=state.step)
            if regions is not None:
                total = total + config.region.weight * regions.loss(maps, levels, batch)
            (total / accumulate).backward()
        measured += _measures(loss) / accumulate
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.optimizer.gradient_clip)
    state.step += 1
    watch.add(state.step, measured[0], norm, batch)
    watch.check(wait=False)
    state.update(rate)
    meter.add(torch.cat([measured[:3], norm.detach().reshape(1), measured[3:]]), images=images)
    return batch, targets, loss


def out_of_memory_advice(config: Config, device: torch.device) -> str:
    """Say how the same steps fit into less memory: half the batch, twice as often, as resuming allows too."""
    size, times = config.training.batch_size, config.optimizer.accumulate
    said = f"out of memory on {device} with batches of {size} crops of {config.data.crop_size} px"
    if size % 2 == 0 and config.ohem.scope == "image":
        halved = f"set training.batch_size to {size // 2} and optimizer.accumulate to {2 * times}, which trains the same steps"
        return f"{said}; {halved}, or model.gradient_checkpointing to true; add --resume if there is a checkpoint"
    return f"{said}; set model.gradient_checkpointing to true, or a smaller training.batch_size or data.crop_size"


def forward_maps(network: nn.Module, batch: Batch, config: Config, device: torch.device) -> tuple[Tensor, Any]:
    """Run the network over a batch in the run's precision: maps (B, 2, H, W) and features by level."""
    images = batch.images.to(device, non_blocking=True)
    return run_network(network, images, precision=choose_precision(config.training.precision, device))


def maps_loss(maps: Tensor, batch: Batch, targets: Targets, config: Config, *, step: int) -> PixelLoss:
    """Compute the loss of score maps (B, 2, H, W) in the step with this number, from 0."""
    return pixel_loss(
        maps,
        targets.maps,
        targets.confidence,
        batch.seeds.to(maps.device, non_blocking=True),
        rule=config.ohem.rule,
        ratio=mining_ratio_at(step, steps=config.training.steps, settings=config.ohem),
        min_negatives=config.ohem.min_negatives,
        scope=config.ohem.scope,
        gamma=config.ohem.gamma,
        loss=config.ohem.loss,
    )


def _losses(
    maps: Tensor, pixels: Tensor, batch: Batch, config: Config, *, step: int
) -> tuple[Targets, PixelLoss, Tensor]:
    """The labels' targets, the loss against them, and the total with a teacher's share; without labels, the teacher's."""
    settings = config.distillation
    if settings.weights is None:
        targets = batch_targets(batch, maps.device)
        loss = maps_loss(maps, batch, targets, config, step=step)
        return targets, loss, loss.loss
    precision = choose_precision(config.training.precision, maps.device)
    taught = teacher_targets(pixels, settings.weights, precision=precision)
    distilled = maps_loss(maps, batch, taught, config, step=step)
    if settings.share == 1:
        return taught, distilled, distilled.loss
    targets = batch_targets(batch, maps.device)
    loss = maps_loss(maps, batch, targets, config, step=step)
    return targets, loss, (1 - settings.share) * loss.loss + settings.share * distilled.loss


def _measures(loss: PixelLoss) -> Tensor:
    """(7,) float32: the loss and its parts, then positives and negatives kept per image, in the order of the meter."""
    parts = torch.stack([loss.loss.detach(), loss.region.detach(), loss.affinity.detach()])
    return torch.cat([parts, loss.kept_positives.float().mean(dim=0), loss.kept_negatives.float().mean(dim=0)])


@contextlib.contextmanager
def _cudnn_benchmark(device: torch.device) -> Iterator[None]:
    """Let cuDNN try its algorithms once per shape: all crops have one shape, unlike the scenes that are validated."""
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
    """Exchange gradients between processes only with the last batch of a step."""
    if isinstance(network, DistributedDataParallel) and not last:
        return network.no_sync()
    return contextlib.nullcontext()


def teacher_targets(images: Tensor, weights: str, *, precision: torch.dtype) -> Targets:
    """Take a teacher's maps of (B, 3, H, W) uint8 RGB crops, clipped to 0 to 1, as targets that are trusted everywhere.

    There is no don't-care area: the teacher also finds text that nobody labelled. Weights, a file or a name, are read
    once per process and device. Raises ValueError if they cannot be read.
    """
    with torch.inference_mode():
        maps, _ = run_network(_teacher(weights, images.device), images, precision=precision)
        maps = maps.to(torch.float32, memory_format=torch.contiguous_format).clamp(0, 1)
    return Targets(maps=maps.clone(), confidence=torch.ones_like(maps))  # cloned out of inference mode for autograd


@lru_cache(maxsize=1)
def _teacher(weights: str, device: torch.device) -> nn.Module:
    model = build_model(read_weights(weights)).eval().requires_grad_(False)
    fuse_layers(model)
    return model.to(device).to(memory_format=torch.channels_last)
