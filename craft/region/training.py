"""The region path in training: from a batch's features to its loss, log, collections and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from craft.config import Config, RegionSettings
from craft.datasets.batch import Batch
from craft.datasets.loader import build_loader
from craft.datasets.reading import WeightedScenes
from craft.distributed.processes import Processes
from craft.models.craft import CRAFT
from craft.models.device import choose_precision
from craft.models.region_head import RegionArchitecture, region_path
from craft.region.bootstrapping import FalsePositives, collect_false_positives, draw_negatives, load_collections
from craft.region.figures import preview_batch, write_roi_figure
from craft.region.loss import head_loss
from craft.region.meter import RegionMeter
from craft.region.proposals import batch_rois


def architecture_of(settings: RegionSettings) -> RegionArchitecture:
    """Return the architecture of the region path that settings ask for."""
    return RegionArchitecture(
        levels=tuple(settings.levels),
        pool_hw=settings.pool,
        hidden=settings.hidden,
        proposal_network=settings.proposals.network > 0,
    )


class RegionTraining:
    """The region path of a run."""

    def __init__(
        self, config: Config, model: CRAFT, datasets: Sequence[WeightedScenes], folder: Path, processes: Processes
    ) -> None:
        """Take up the region path of a run; the model has one."""
        path = region_path(model)
        assert path is not None, "build_state adds a region path to the network where region.enabled is set"
        self.settings = config.region
        self._config = config
        self.datasets = datasets
        self._folder = folder
        self._processes = processes
        self._preview: Batch | None = None
        self.path = path
        self.meter = RegionMeter(processes)
        self.bank = FalsePositives() if config.region.sampler == "bootstrap" else None

    def loss(self, maps: Tensor, levels: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Compute and meter the () loss over a batch from (B, 2, H, W) score maps and features by level."""
        settings = self.settings
        seeds = batch.seeds.to(maps.device)
        rois, proposals = batch_rois(self.path, maps, levels, batch, settings, learn=True)
        count, negatives = draw_negatives(
            self.bank, settings.rois_per_image, images=len(rois), seed=int(batch.seeds[0])
        )
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
        """Load what a resumed run had collected before `step`."""
        if self.bank is not None:
            load_collections(self.bank, self._folder, before_step=step, rank=self._processes.rank)

    def collects_before(self, step: int) -> bool:
        """Whether false positives are collected after `step` steps: for bootstrap, every `bootstrap_every` steps."""
        return self.bank is not None and step > 0 and step % self.settings.bootstrap_every == 0

    def collect(self, model: CRAFT, step: int) -> dict[str, Any]:
        """Collect false positives over training crops that no earlier collection saw; returns values for the log."""
        assert self.bank is not None
        data, processes, batch_size = self._config.data, self._processes, self._config.training.batch_size
        crops = -(-self.settings.bootstrap_crops // batch_size) * batch_size * processes.world_size  # of one collection
        earlier = max(0, step // self.settings.bootstrap_every - 1)
        batches = build_loader(
            [(dataset.scenes, dataset.weight) for dataset in self.datasets],
            seed=self._config.training.seed,
            crop_size=data.crop_size,
            augment=self._config.augment,
            batch_size=batch_size,
            workers=data.workers,
            start_position=earlier * crops,
            world_size=processes.world_size,
            rank=processes.rank,
            on_error=data.on_error,
        )
        return collect_false_positives(
            model, self.path, self.bank, batches, self._config, folder=self._folder, step=step, processes=processes
        )

    def write_figure(self, model: CRAFT, step: int) -> Path:
        """Draw the RoIs that mining chooses now in the first training scenes, into rois/ of the run folder."""
        if self._preview is None:
            self._preview = preview_batch(self.datasets[0].scenes, crop_size=self._config.data.crop_size)
        precision = choose_precision(self._config.training.precision, self._processes.device)
        folder = self._folder / "rois"
        return write_roi_figure(folder, step, model, self._preview, self.settings, precision=precision)
