"""What the log says about the region path: losses, what was mined, recall of the sources, times and memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch
from torch import Tensor

from craft.distributed.processes import Processes, mean_over_processes
from craft.region.loss import HeadLoss
from craft.region.pass_times import PassTimes
from craft.region.proposals import RECALL_IOUS, SOURCES, ImageRois, source_recall

_SUMS = ("head", "proposals", "rois", "chosen", "chosen_foreground", "chosen_loss", "all_loss", "all_count", "words")


class RegionMeter:
    """Means since the last reading, as `IntervalMeter` has them for the score maps.

    Attributes:
        times: of the passes over RoIs.
    """

    def __init__(self, processes: Processes) -> None:
        """Start at zero.

        Args:
            processes: this process's place; readings are means over all processes.
        """
        self.times = PassTimes(processes.device)
        self._processes = processes
        self._sums = torch.zeros(len(_SUMS) + len(RECALL_IOUS) * len(SOURCES), device=processes.device)
        self._batches = 0
        self._images = 0

    def add(self, loss: HeadLoss, proposals: Tensor, rois: list[ImageRois]) -> None:
        """Add a batch.

        Args:
            loss: of the head.
            proposals: () loss of the proposal network.
            rois: of the images.
        """
        device = self._sums.device
        foreground = [image.labels.foreground[index] for image, index in zip(rois, loss.chosen, strict=True)]
        everything = torch.zeros(1, device=device) if loss.all_losses is None else torch.cat(loss.all_losses)
        count_all = 0 if loss.all_losses is None else len(everything)
        numbers = torch.tensor(
            [float(sum(map(len, rois))), float(len(loss.chosen_losses))], dtype=torch.float32, device=device
        )
        sums = [
            torch.stack([loss.loss.detach(), proposals.detach()]),
            numbers,
            torch.stack([torch.cat(foreground).float().sum(), loss.chosen_losses.sum(), everything.sum()]),
            torch.tensor([float(count_all)], device=device),
            source_recall(rois),
        ]
        self._sums += torch.cat(sums)
        self._batches += 1
        self._images += len(rois)

    def read(self) -> dict[str, float | None]:
        """Means since the last reading, then start again. Waits for the device.

        Returns:
            Figures by name; None where there was nothing to measure, such as the mean loss of all RoIs for a sampler
            that does not look at all.
        """
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
        result["region_read_only_seconds"] = round(seconds.get("read_only", 0.0) / batches, 6)
        result["region_differentiated_seconds"] = round(seconds.get("differentiated", 0.0) / batches, 6)
        result["peak_memory_mebibytes"] = round(peak_memory_bytes(self._sums.device) / 2**20, 1)
        self._sums.zero_()
        self._batches = self._images = 0
        return result


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory in use so far: tensors on a GPU, the whole process elsewhere.

    Args:
        device: where the network runs.

    Returns:
        Bytes since the process began.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the process was started from too
        return 1024 * next(
            int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:")
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kibibytes everywhere but on macOS


def _ratio(part: float, whole: float) -> float | None:
    return None if whole == 0 else part / whole
