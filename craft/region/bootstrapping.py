"""Classic bootstrapping: freeze, collect background that the head takes for text, and train on with what was found."""

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from craft.atomic_files import open_atomic
from craft.config import Config
from craft.datasets.batch import Batch
from craft.distributed.processes import Processes
from craft.models.craft import CRAFT
from craft.models.device import choose_precision
from craft.models.inference import evaluation_mode, run_network
from craft.models.region_head import RegionPath
from craft.models.torch_files import DAMAGED, load_checked
from craft.ohem.region import hardest_rois
from craft.region.loss import roi_losses
from craft.region.proposals import ImageRois, batch_rois

FOLDER = "bootstrap"
MOST_PER_IMAGE = 64
MOST_KEPT = 100_000  # features; the oldest are dropped first
_TEXT_LOGIT = 0.0  # logit above which the head takes background for text
_NMS_IOU = 0.7


class FalsePositives:
    """Pooled features of background RoIs that the head took for text; the network below the head must not change."""

    def __init__(self) -> None:
        self._features: Tensor | None = None

    def __len__(self) -> int:
        return 0 if self._features is None else len(self._features)

    def add(self, features: Tensor) -> None:
        """Add (K, F) float16 features on the CPU; beyond MOST_KEPT the oldest are dropped."""
        kept = features if self._features is None else torch.cat([self._features, features])
        self._features = kept[-MOST_KEPT:]

    def draw(self, count: int, *, seed: int) -> Tensor:
        """Draw `count` features at random, with replacement: (count, F) float32 on the CPU."""
        assert self._features is not None, "nothing was collected yet"
        generator = torch.Generator().manual_seed(seed & 0x7FFFFFFFFFFFFFFF)
        return self._features[torch.randint(len(self), (count,), generator=generator)].float()


def draw_negatives(bank: FalsePositives | None, count: int, *, images: int, seed: int) -> tuple[int, Tensor | None]:
    """Draw a quarter of the `count` RoIs per image of a step from the bank, if it holds any.

    Returns the RoIs left to choose per image, and (N, F) float32 pooled features of the drawn RoIs, on the CPU.
    """
    if bank is None or not len(bank):
        return count, None
    collected = count // 4
    return count - collected, bank.draw(collected * images, seed=seed)


def collect_false_positives(
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
    """Run the network, frozen, over crops, and add background that the head takes for text to this process's bank.

    The new features are also written into the run folder, where a resumed run finds them. The model's mode is restored.
    Returns what to log: crops seen, false positives found, size of the bank, seconds, and CPU seconds of this process.
    """
    start, processor = time.perf_counter(), time.process_time()
    precision = choose_precision(config.training.precision, processes.device)
    found, crops, wanted = [], 0, config.region.bootstrap_crops
    with evaluation_mode(model), tqdm(total=wanted, desc="bootstrap", leave=False) as progress:
        while crops < wanted:
            batch = next(batches)
            maps, levels = run_network(model, batch.images.to(processes.device), precision=precision)
            rois, _loss = batch_rois(path, maps, levels, batch, config.region, learn=False)
            found.append(_false_positive_features(path, levels, rois))
            crops += len(batch.images)
            progress.update(len(batch.images))
    features = torch.cat(found)
    bank.add(features)
    (folder / FOLDER).mkdir(exist_ok=True)
    with open_atomic(folder / FOLDER / f"step_{step:06d}_rank_{processes.rank}.pt") as file:
        torch.save(features, file)
    return {
        "crops": crops,
        "false_positives": len(features),
        "kept": len(bank),
        "seconds": round(time.perf_counter() - start, 3),
        "processor_seconds": round(time.process_time() - processor, 3),
    }


def load_collections(bank: FalsePositives, folder: Path, *, before_step: int, rank: int) -> None:
    """Fill a resumed run's empty bank with this rank's collections from before a step; that step's is made again.

    ValueError names a file that is damaged.
    """
    for path in sorted((folder / FOLDER).glob(f"step_*_rank_{rank}.pt")):
        if int(path.name.split("_")[1]) >= before_step:
            continue
        try:
            features = load_checked(path)
            bank.add(features)
        except DAMAGED as error:
            remedy = "restore it from a copy of the run, or start again in another run folder"
            raise ValueError(f"{path}: false positives that cannot be read ({error}); {remedy}") from None


def _false_positive_features(path: RegionPath, levels: dict[str, Tensor], rois: list[ImageRois]) -> Tensor:
    """Pool the background RoIs that the head takes for text, one for each spot and the worst first: (K, F) float16."""
    logits, deltas = path.head(levels, [image.boxes_xyxy for image in rois])
    losses = roi_losses(logits, deltas, rois)
    boxes = []
    sizes = [len(image) for image in rois]
    for image, image_losses, image_logits in zip(rois, losses.split(sizes), logits.split(sizes), strict=True):
        wrong = ~image.labels.foreground & (image_logits > _TEXT_LOGIT)
        index = hardest_rois(image_losses, image.boxes_xyxy, wrong, count=MOST_PER_IMAGE, nms_iou=_NMS_IOU)
        boxes.append(image.boxes_xyxy[index])
    return path.head.pool(levels, boxes).half().cpu()
