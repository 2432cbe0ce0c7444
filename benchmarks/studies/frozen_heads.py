"""Region heads trained side by side on the frozen features of one network, with the same crops and RoIs at every step."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from craft.config import Config, RankBy, RoiSampler
from craft.datasets.batch import Batch
from craft.datasets.loader import build_loader
from craft.datasets.scene_dataset import DatasetMix
from craft.distributed.processes import Processes
from craft.models.craft import CRAFT
from craft.models.region_head import RegionHead, RegionPath, region_path
from craft.models.weights import save_safetensors
from craft.region.bootstrapping import FalsePositives, collect_false_positives, draw_negatives
from craft.region.loss import head_loss
from craft.region.meter import RegionMeter
from craft.region.proposals import ImageRois, batch_rois
from craft.training.datasets import read_training_datasets
from craft.training.run_log import RunLog
from craft.training.schedule import build_average, build_optimizer, learning_rate_at
from craft.training.state import build_state, network_metadata
from craft.training.step import forward_maps


@dataclass(frozen=True, slots=True)
class HeadVariant:
    """One way of training a head.

    Attributes:
        name: of its weights file.
        sampler: which RoIs are trained on.
        rois_per_image: RoIs asked for.
        background_low: smallest IoU of background RoIs, for heuristic.
        images: crops per optimizer step; a variant that takes fewer than a batch does several steps with each batch.
        rate_factor: factor on the learning rate.
        rank_by: what mining ranks by, as in `head_loss`.
        collect_every: batches between two collections of false positives, for bootstrap.
        collect_crops: crops of a collection, for bootstrap.
    """

    name: str
    sampler: RoiSampler
    rois_per_image: int = 64
    background_low: float = 0.1
    images: int = 2
    rate_factor: float = 1.0
    rank_by: RankBy = "loss"
    collect_every: int = 100
    collect_crops: int = 320


def train_heads(config: Config, variants: Sequence[HeadVariant], folder: Path, processes: Processes) -> dict[str, Path]:
    """Train a head for each variant, all on the same crops, features and RoIs; heads with a weights file are left alone.

    Args:
        config: settings of the run, including `weights` and `region.enabled`; `training.steps` counts batches.
        variants: with different names.
        folder: where the weights, NAME.safetensors, and the log, metrics.jsonl, are written.
        processes: a single process, which trains all heads.

    Returns:
        The weights file of each variant, network included; moving averages where they are on.

    Raises:
        ValueError: there are no weights, a variant's number of images does not divide a batch's, or settings, scenes
            or weights cannot be used.
    """
    _check(config, variants)
    files = {variant.name: folder / f"{variant.name}.safetensors" for variant in variants}
    wanted = [variant for variant in variants if not files[variant.name].exists()]
    if not wanted:
        return files
    folder.mkdir(parents=True, exist_ok=True)
    sets = [(dataset.scenes, dataset.weight) for dataset in read_training_datasets(config.data, echo=print)]
    state = build_state(config, processes, echo=print)
    path = region_path(state.model)
    assert path is not None
    learners = [_Learner(variant, path, config, processes) for variant in wanted]
    proposer = None if path.proposals is None else build_optimizer(path.proposals, config.optimizer)
    _drop_lines(folder / "metrics.jsonl", {variant.name for variant in wanted})
    log = RunLog(folder, writes=True, after_step=config.training.steps)
    batches = _loader(config, sets)
    for step in tqdm(range(config.training.steps), desc=f"heads {folder.name}"):
        batch = next(batches)
        with torch.no_grad():
            maps, levels = forward_maps(state.network, batch, config, processes.device)
        rois, proposals = batch_rois(path, maps, levels, batch, config.region, learn=True)
        if proposer is not None:
            _step(path.proposals, proposer, proposals, config, step, config.training.steps, factor=1)
        for learner in learners:
            if learner.collects_before(step):
                found = learner.collect(state.model, _loader(config, sets), folder, step)
                log.write("bootstrap", step, {"variant": learner.variant.name, **found})
            learner.learn(levels, rois, batch, step)
            if (step + 1) % config.training.log_every == 0:
                log.write("train", step + 1, {"variant": learner.variant.name, **learner.meter.read()})
    log.close()
    for learner in learners:
        _save(state.model, learner, files[learner.variant.name], config)
    return files


class _Learner:
    """A head in training."""

    def __init__(self, variant: HeadVariant, path: RegionPath, config: Config, processes: Processes) -> None:
        self.variant = variant
        self.path = copy.deepcopy(path)
        self.path.proposals = path.proposals  # shared, so that all heads get the same RoIs
        self.meter = RegionMeter(processes)
        self._optimizer = build_optimizer(self.path.head, config.optimizer)
        self._average, self._rule = None, None
        if config.optimizer.average_decay > 0:
            self._average, self._rule = build_average(self.path.head, decay=config.optimizer.average_decay)
        self._bank = FalsePositives() if variant.sampler == "bootstrap" else None
        self._config, self._processes = config, processes

    @property
    def final_head(self) -> RegionHead:
        """The moving average, or the head itself where that is off."""
        return self.path.head if self._average is None else cast(RegionHead, self._average.module)

    def collects_before(self, step: int) -> bool:
        return self._bank is not None and step > 0 and step % self.variant.collect_every == 0

    def collect(self, model: CRAFT, batches: Iterator[Batch], folder: Path, step: int) -> dict[str, float]:
        """Add to the bank what the head takes for text now."""
        assert self._bank is not None
        region = self._config.region.model_copy(update={"bootstrap_crops": self.variant.collect_crops})
        config = self._config.model_copy(update={"region": region})
        return collect_false_positives(
            model, self.path, self._bank, batches, config, folder=folder, step=step, processes=self._processes
        )

    def learn(self, levels: Mapping[str, Tensor], rois: list[ImageRois], batch: Batch, step: int) -> None:
        """Do the optimizer steps of the variant with a batch."""
        steps_of_batch = len(rois) // self.variant.images
        for index in range(steps_of_batch):
            part = slice(index * self.variant.images, (index + 1) * self.variant.images)
            seeds = batch.seeds[part].to(self._processes.device)
            count, negatives = draw_negatives(
                self._bank, self.variant.rois_per_image, images=self.variant.images, seed=int(seeds[0])
            )
            found = head_loss(
                self.path.head,
                {name: level[part] for name, level in levels.items()},
                rois[part],
                seeds,
                sampler=self.variant.sampler,
                count=count,
                background_low=self.variant.background_low,
                nms_iou=self._config.region.nms_iou,
                rank_by=self.variant.rank_by,
                times=self.meter.times,
                negatives=None if negatives is None else negatives.to(seeds.device),
            )
            done, steps = step * steps_of_batch + index, self._config.training.steps * steps_of_batch
            _step(
                self.path.head, self._optimizer, found.loss, self._config, done, steps, factor=self.variant.rate_factor
            )
            if self._average is not None and self._rule is not None:
                self._average.update_parameters(self.path.head)
                self._rule.updates = done + 1
            self.meter.add(found, found.loss.new_zeros(()), rois[part])


def _step(
    module: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    loss: Tensor,
    config: Config,
    done: int,
    steps: int,
    *,
    factor: float,
) -> None:
    assert module is not None
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), config.optimizer.gradient_clip)
    for group in optimizer.param_groups:
        group["lr"] = factor * learning_rate_at(done, steps=steps, settings=config.optimizer)
    optimizer.step()


def _loader(config: Config, sets: DatasetMix) -> Iterator[Batch]:
    return iter(
        build_loader(
            sets,
            seed=config.training.seed,
            crop_size=config.data.crop_size,
            augment=config.augment,
            batch_size=config.training.batch_size,
            workers=config.data.workers,
            start_position=0,
            cache_bytes=config.data.cache_mebibytes << 20,
        )
    )


def _save(model: CRAFT, learner: _Learner, file: Path, config: Config) -> None:
    head, learner.path.head = learner.path.head, learner.final_head
    before, model.region = model.region, learner.path
    detection = config.detection.model_dump(mode="json")
    save_safetensors(model, file, {"step": config.training.steps, **network_metadata(config), "detection": detection})
    learner.path.head, model.region = head, before


def _drop_lines(path: Path, names: set[str]) -> None:
    """Drop the log's lines about unfinished heads, which start again."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["variant"] not in names]
        path.write_text("".join(kept), encoding="utf-8")


def _check(config: Config, variants: Sequence[HeadVariant]) -> None:
    if config.weights is None or not config.region.enabled or config.region.train != "alone":
        raise ValueError("heads are trained on an existing network: give weights, region.enabled and train: alone")
    for variant in variants:
        if config.training.batch_size % variant.images:
            raise ValueError(
                f"{variant.name} takes {variant.images} crops a step, which does not divide a batch of "
                f"{config.training.batch_size}; change training.batch_size"
            )
