"""The region path in training: from a batch's features to its loss, its log and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from craft.config import Config, RegionSettings
from craft.datasets.collection import WeightedScenes
from craft.datasets.loader import Batch, build_loader
from craft.distributed.processes import Processes
from craft.models.craft import CRAFT
from craft.models.region_head import RegionArchitecture, region_path
from craft.region.batch_rois import batch_rois
from craft.region.bootstrapping import FalsePositives, draw_share, look_again, recall_collections
from craft.region.figures import preview_batch, write_roi_pictures
from craft.region.loss import head_loss
from craft.region.meter import RegionMeter


def architecture_of(settings: RegionSettings) -> RegionArchitecture:
    """The shape of the region path that settings ask for.

    Args:
        settings: of the region path.

    Returns:
        The architecture.
    """
    return RegionArchitecture(
        levels=tuple(settings.levels),
        pool_hw=settings.pool,
        hidden=settings.hidden,
        proposal_network=settings.proposals.network > 0,
    )


class RegionTraining:
    """The region path of a run.

    Attributes:
        settings: the region path's.
        path: head and proposal network that learn.
        meter: what the log says.
        bank: collected false positives, for bootstrap; None for other samplers.
    """

    def __init__(
        self, config: Config, model: CRAFT, sets: Sequence[WeightedScenes], folder: Path, processes: Processes
    ) -> None:
        """Start the region path of a run.

        Args:
            config: the run's settings.
            model: a network with a region path.
            sets: the training sets.
            folder: the run folder.
            processes: this process's place.
        """
        path = region_path(model)
        assert path is not None, "build_state hangs a region path on the network where region.enabled is set"
        self.settings = config.region
        self._config = config
        self._sets = sets
        self._folder = folder
        self._processes = processes
        self._preview: Batch | None = None
        self.path = path
        self.meter = RegionMeter(processes)
        self.bank = FalsePositives() if config.region.sampler == "bootstrap" else None

    def loss(self, maps: Tensor, levels: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Compute the region path's loss over a batch, and take note of it for the log.

        Args:
            maps: (B, 2, H, W), score maps of the batch.
            levels: features by level; gradients flow into them where they have any.
            batch: the crops.

        Returns:
            () float32, differentiable.
        """
        settings = self.settings
        seeds = batch.seeds.to(maps.device)
        rois, proposals = batch_rois(self.path, maps, levels, batch, settings, learn=True)
        count, negatives = draw_share(self.bank, settings.rois_per_image, images=len(rois), seed=int(batch.seeds[0]))
        found = head_loss(
            self.path.head,
            levels,
            rois,
            seeds,
            sampler=settings.sampler,
            count=count,
            background_low=settings.background_low,
            nms_iou=settings.nms_iou,
            rank_by=settings.rank_by,
            times=self.meter.times,
            negatives=None if negatives is None else negatives.to(maps.device),
        )
        self.meter.add(found, proposals, rois)
        return found.loss + proposals

    def resume(self, step: int) -> None:
        """Take up what a run collected before it was stopped.

        Args:
            step: optimizer steps done.
        """
        if self.bank is not None:
            recall_collections(self.bank, self._folder, before_step=step, rank=self._processes.rank)

    def collects_before(self, step: int) -> bool:
        """Whether false positives are to be collected before the next step.

        Args:
            step: optimizer steps done.

        Returns:
            True every `bootstrap_every` steps but at the start, for bootstrap.
        """
        return self.bank is not None and step > 0 and step % self.settings.bootstrap_every == 0

    def collect(self, model: CRAFT, step: int) -> dict[str, Any]:
        """Look over training crops for false positives, with the network as it is.

        Args:
            model: the network.
            step: optimizer steps done.

        Returns:
            For the log: crops seen, false positives found, kept in all, and seconds.
        """
        assert self.bank is not None
        data, processes = self._config.data, self._processes
        batches = build_loader(
            [(one.scenes, one.weight) for one in self._sets],
            seed=self._config.training.seed,
            crop_size=data.crop_size,
            augment=self._config.augment,
            batch_size=self._config.training.batch_size,
            workers=data.workers,
            start_position=0,
            world_size=processes.world_size,
            rank=processes.rank,
        )
        return look_again(
            model, self.path, self.bank, batches, self._config, folder=self._folder, step=step, processes=processes
        )

    def write_pictures(self, model: CRAFT, step: int) -> Path:
        """Draw the RoIs that mining finds now in the first training scenes, under rois/ in the run folder.

        Args:
            model: the network.
            step: optimizer steps done.

        Returns:
            The picture.
        """
        if self._preview is None:
            self._preview = preview_batch(self._sets[0].scenes, crop_size=self._config.data.crop_size)
        device = self._processes.device
        return write_roi_pictures(self._folder / "rois", step, model, self._preview, self.settings, device=device)
