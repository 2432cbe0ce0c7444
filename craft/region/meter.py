"""What the log says about the region path: losses, which RoIs were chosen, recall of the sources, times and memory."""

import torch
from torch import Tensor

from craft.distributed.processes import Processes, mean_over_processes
from craft.models.device import peak_memory_bytes
from craft.region.loss import HeadLoss
from craft.region.pass_times import PassTimes
from craft.region.proposals import RECALL_IOUS, SOURCES, ImageRois, source_recall

_SUMS = ("head", "proposals", "rois", "chosen", "chosen_foreground", "chosen_loss", "all_loss", "all_count", "words")


class RegionMeter:
    """Means since the last reading, over all processes."""

    def __init__(self, processes: Processes) -> None:
        self.times = PassTimes(processes.device)
        self._processes = processes
        self._sums = torch.zeros(len(_SUMS) + len(RECALL_IOUS) * len(SOURCES), device=processes.device)
        self._batches = 0
        self._images = 0

    def add(self, loss: HeadLoss, proposals: Tensor, rois: list[ImageRois]) -> None:
        """Add a batch: the head's loss, the proposal network's () loss, and the RoIs of its images."""
        device = self._sums.device
        foreground = [image.labels.foreground[index] for image, index in zip(rois, loss.chosen, strict=True)]
        everything = torch.zeros(1, device=device) if loss.all_losses is None else torch.cat(loss.all_losses)
        num_rois, num_chosen = float(sum(map(len, rois))), float(len(loss.chosen_losses))
        num_all = 0.0 if loss.all_losses is None else float(len(everything))
        sums = [
            torch.stack([loss.loss.detach(), proposals.detach()]),
            torch.tensor([num_rois, num_chosen], device=device),
            torch.stack([torch.cat(foreground).float().sum(), loss.chosen_losses.sum(), everything.sum()]),
            torch.tensor([num_all], device=device),
            source_recall(rois),
        ]
        self._sums += torch.cat(sums)
        self._batches += 1
        self._images += len(rois)

    def read(self) -> dict[str, float | None]:
        """Return means since the last reading, by name of the log; None where nothing was measured."""
        sums = mean_over_processes(self._sums, self._processes).tolist()
        named = dict(zip(_SUMS, sums, strict=False))
        batches, images = max(1, self._batches), max(1, self._images)
        result: dict[str, float | None] = {
            "region_loss_head": named["head"] / batches,
            "region_loss_proposals": named["proposals"] / batches,
            "region_rois": named["rois"] / images,
            "region_mined": named["chosen"] / images,
            "region_mined_foreground": _ratio(named["chosen_foreground"], named["chosen"]),
            "region_mined_loss": _ratio(named["chosen_loss"], named["chosen"]),
            "region_all_loss": _ratio(named["all_loss"], named["all_count"]),
        }
        found = iter(sums[len(_SUMS) :])
        for iou in RECALL_IOUS:
            for source in SOURCES:
                result[f"region_recall_{source}_{round(100 * iou)}"] = _ratio(next(found), named["words"])
        seconds = self.times.read()
        for name in ("read_only", "differentiated"):
            result[f"region_{name}_seconds"] = round(seconds.get(name, 0.0) / batches, 6)
        result["peak_memory_mebibytes"] = round(peak_memory_bytes(self._sums.device) / 2**20, 1)
        self._sums.zero_()
        self._batches = self._images = 0
        return result


def _ratio(part: float, total: float) -> float | None:
    return None if total == 0 else part / total
