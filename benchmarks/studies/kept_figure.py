"""Draw which background pixels the variants of a study keep on one training crop, step by step.

python benchmarks/studies/kept_figure.py --study runs/ohem --seed 1 --variants hardest-1 hardest-3 random-3 --crop 0 \
  --out kept.jpg

The crops are of rendered scenes, which may be shown anywhere. A row per variant; the crop, then the kept background (pink)
and the text pixels (blue) of the region map after each snapshot, with the network as it was then; the stronger the
colour, the larger the weight.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from craft.config import Config, DatasetSettings
from craft.geometry import MAP_STRIDE
from craft.images.drawing import write_image
from craft.ohem.pixel import POSITIVE_TARGET
from craft.studies.kept_pixels import CropBatch, load_crops, load_snapshot
from craft.studies.study import Run, read_study, run_config, snapshot_steps
from craft.training.datasets import read_training_datasets
from craft.training.step import forward_maps, maps_loss

_SIDE = 240  # pixels of a panel
_PINK, _BLUE = (255, 45, 149), (60, 130, 255)


def main() -> None:
    """Write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--variants", nargs="+", required=True)
    parser.add_argument("--crop", type=int, default=0, help="which of the fixed crops")
    parser.add_argument("--scenes", type=int, default=1, help="seed of the rendered scenes")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    study, rows = read_study(arguments.study), []
    for variant in arguments.variants:
        run = Run(variant, arguments.seed)
        steps = study.budget.steps or 1
        config = run_config(study, run, arguments.study, steps=steps)
        size = config.training.batch_size
        rendered = DatasetSettings(format="synth", preset="full", seed=arguments.scenes, count=100)
        data = config.data.model_copy(update={"train": (rendered,)})
        crops = load_crops(read_training_datasets(data, echo=print), config, count=arguments.crop + 1)
        batch, index = crops[arguments.crop // size], arguments.crop % size
        image = batch.batch.images[index].permute(1, 2, 0).contiguous().numpy()
        panels = [_panel(image, variant)]
        for step in snapshot_steps(steps):
            panels.append(_panel(_kept(image, batch, index, config, run.folder(arguments.study), step), f"step {step}"))
        rows.append(np.hstack(panels))
    write_image(arguments.out, np.vstack(rows), quality=90)


def _kept(
    image: NDArray[np.uint8], crops: CropBatch, index: int, config: Config, folder: Path, step: int
) -> NDArray[np.uint8]:
    """The crop with the kept pixels of its region map, after a step."""
    device = torch.device("cpu")
    with torch.no_grad():
        maps, _ = forward_maps(load_snapshot(folder, step, device), crops.batch, config, device)
        weights = maps_loss(maps, crops.batch, crops.targets, config, step=step - 1).weights[index, 0].numpy()
    text = crops.targets.maps[index, 0].numpy() > POSITIVE_TARGET
    shown = (image * 0.45).astype(np.uint8)
    for mask, colour in ((~text, _PINK), (text, _BLUE)):
        own = weights * mask  # pixels that tie at the cut-off have a sliver of the weight: they are drawn as faint
        strength = 0.75 * np.repeat(np.repeat(own / max(own.max(), 1e-12), MAP_STRIDE, 0), MAP_STRIDE, 1)[..., None]
        shown = ((1 - strength) * shown + strength * np.array(colour)).astype(np.uint8)
    return shown


def _panel(image: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    """An image with a title below, (S + 26, S, 3)."""
    panel = np.full((_SIDE + 26, _SIDE + 6, 3), 255, dtype=np.uint8)
    panel[:_SIDE, :_SIDE] = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)
    cv2.putText(panel, title, (4, _SIDE + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
    return panel


if __name__ == "__main__":
    main()
