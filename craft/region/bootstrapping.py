"""Classic bootstrapping: stop, look for background that the head takes for text, keep it, go on with the grown set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from craft.config import Config
from craft.datasets.loader import Batch
from craft.distributed.processes import Processes
from craft.models.craft import CRAFT, normalise_images
from craft.models.region_head import RegionPath
from craft.ohem.region import hardest_rois
from craft.region.batch_rois import batch_rois
from craft.region.loss import pick_rois, roi_losses
from craft.region.proposals import ImageRois

FOLDER = "bootstrap"
MOST_PER_IMAGE = 64
MOST_KEPT = 100_000  # features; the oldest go first
_SHARE = 4  # one RoI trained on in so many is a collected one
_TEXT_ODDS = 0.0  # log odds above which background counts as taken for text


class FalsePositives:
    """Cut-out features of background RoIs that the head took for text when they were collected.

    They are features, not boxes, as in the classic way: the network below the head must not change.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._features: Tensor | None = None

    def __len__(self) -> int:
        return 0 if self._features is None else len(self._features)

    def add(self, features: Tensor) -> None:
        """Keep more; beyond MOST_KEPT the oldest go.

        Args:
            features: (K, F) float16, on the CPU.
        """
        kept = features if self._features is None else torch.cat([self._features, features])
        self._features = kept[-MOST_KEPT:]

    def draw(self, count: int, *, seed: int) -> Tensor:
        """Draw some at random, with replacement.

        Args:
            count: how many.
            seed: what the draw follows from.

        Returns:
            (count, F) float32, on the CPU.
        """
        assert self._features is not None, "nothing was collected yet"
        generator = torch.Generator().manual_seed(seed & 0x7FFFFFFFFFFFFFFF)
        return self._features[torch.randint(len(self), (count,), generator=generator)].float()


def draw_share(bank: FalsePositives | None, count: int, *, images: int, seed: int) -> tuple[int, Tensor | None]:
    """Divide the RoIs of a step between those of its images and collected ones.

    Args:
        bank: what was collected; None, or empty as before the first collection, leaves all to the images.
        count: RoIs asked for per image.
        images: of the step.
        seed: what the draw follows from.

    Returns:
        RoIs asked for per image of the images' own, and (K, F) float32, cut-out features of collected ones, on the CPU.
    """
    if bank is None or not len(bank):
        return count, None
    collected = count // _SHARE
    return count - collected, bank.draw(collected * images, seed=seed)


@torch.no_grad()
def collect_false_positives(path: RegionPath, levels: dict[str, Tensor], rois: list[ImageRois]) -> Tensor:
    """Cut out the background RoIs of a batch that the head takes for text, one for each spot.

    Args:
        path: the region path.
        levels: features by level.
        rois: of each image.

    Returns:
        (K, F) float16, on the CPU; at most MOST_PER_IMAGE an image, the worst first.
    """
    odds, corrections = path.head(levels, [image.boxes_xyxy for image in rois])
    losses = roi_losses(odds, corrections, rois)
    picked = []
    sizes = [len(image) for image in rois]
    for image, image_losses, image_odds in zip(rois, losses.split(sizes), odds.split(sizes), strict=True):
        wrong = ~image.labels.foreground & (image_odds > _TEXT_ODDS)
        index = hardest_rois(image_losses, image.boxes_xyxy, wrong, count=MOST_PER_IMAGE, nms_iou=0.7)
        picked.append(pick_rois(image, index).boxes_xyxy)
    return path.head.pool(levels, picked).half().cpu()


def look_again(
    model: CRAFT,
    path: RegionPath,
    bank: FalsePositives,
    batches: Iterator[Batch],
    config: Config,
    *,
    folder: Path,
    step: int,
    processes: Processes,
) -> dict[str, float]:
    """One collection: run the network, frozen, over crops, and grow the bank by what the head gets wrong.

    Args:
        model: the network, put back into its mode afterwards.
        path: its region path.
        bank: what was collected before; it grows.
        batches: crops, at least `region.bootstrap_crops`.
        config: the run's settings.
        folder: run folder, where the new features are written, so that a resumed run finds them.
        step: optimizer steps done.
        processes: this process's place; each keeps what it found itself.

    Returns:
        For the log: crops seen, false positives found, kept in all, seconds, and seconds of this process's processors.
    """
    start, processor = time.perf_counter(), time.process_time()
    was_training = model.training
    model.eval()
    found, crops, wanted = [], 0, config.region.bootstrap_crops
    with torch.no_grad(), tqdm(total=wanted, desc="bootstrap", leave=False) as progress:
        while crops < wanted:
            batch = next(batches)
            maps, levels = model.forward_levels(normalise_images(batch.images.to(processes.device)))
            rois, _loss = batch_rois(path, maps, levels, batch, config.region, learn=False)
            found.append(collect_false_positives(path, levels, rois))
            crops += len(batch.images)
            progress.update(len(batch.images))
    model.train(was_training)
    features = torch.cat(found)
    bank.add(features)
    (folder / FOLDER).mkdir(exist_ok=True)
    torch.save(features, str(folder / FOLDER / _name(step, processes.rank)))
    return {
        "crops": crops,
        "false_positives": len(features),
        "kept": len(bank),
        "seconds": round(time.perf_counter() - start, 3),
        "processor_seconds": round(time.process_time() - processor, 3),
    }


def recall_collections(bank: FalsePositives, folder: Path, *, before_step: int, rank: int) -> None:
    """Fill the bank of a resumed run with what was collected before.

    Args:
        bank: empty.
        folder: the run folder.
        before_step: optimizer steps done; a collection that is due at this step is done again.
        rank: of this process.
    """
    ending = _name(0, rank).removeprefix("step_000000")
    for path in sorted((folder / FOLDER).glob("step_*" + ending)):
        if int(path.name.removeprefix("step_").removesuffix(ending)) < before_step:
            bank.add(torch.load(str(path), weights_only=True))


def _name(step: int, rank: int) -> str:
    return f"step_{step:06d}_rank_{rank}.pt"
