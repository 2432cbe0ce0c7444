"""Thin a network to a smaller width, as a start for distillation; no labels are used but to place the crops.

    python tools/thin_network.py --weights craft_mlt_25k.pth --width 0.4375 --out thin.safetensors \\
      --dataset data/icdar2015 --format icdar2015 --numbers 1 800

Takes a few minutes on one CPU core. The result keeps the detection settings of the wide network.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from thinning import thin_network
from torch import Tensor

from craft.cli.arguments import WEIGHTS_HELP, add_dataset_arguments, dataset_settings, output_file, user_path
from craft.config import AugmentSettings, DatasetSettings
from craft.datasets.augment import make_sample
from craft.datasets.reading import read_scenes
from craft.datasets.scene_source import read_scene_image
from craft.models.weights import build_model, read_weights, save_safetensors
from craft.targets.characters import with_characters

AUGMENT = AugmentSettings(scale=(0.6, 2.5), word_crops=0.85)


def read_crops(datasets: Sequence[DatasetSettings], *, count: int, crop_size: int, seed: int) -> Tensor:
    """Cut (count, 3, crop_size, crop_size) uint8 training crops out of random scenes of each dataset in turn."""
    scenes = [read_scenes(settings, on_error="skip", echo=print) for settings in datasets]
    generator = np.random.default_rng(seed)
    crops = []
    for index in range(count):
        own = scenes[index % len(scenes)]
        scene = with_characters(own[int(generator.integers(len(own)))])
        crop_seed = int(generator.integers(2**40))
        sample = make_sample(
            read_scene_image(scene), scene.words, seed=crop_seed, crop_size=crop_size, settings=AUGMENT
        )
        crops.append(sample.image)
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", required=True, type=user_path, help=WEIGHTS_HELP)
    parser.add_argument("--width", required=True, type=float, help="width of the thin network")
    parser.add_argument("--out", required=True, type=output_file, help="safetensors file to write")
    parser.add_argument(
        "--dataset",
        required=True,
        action="append",
        metavar="PATH",
        help="labelled dataset to take crops from; may be repeated, and the options below describe all of them",
    )
    add_dataset_arguments(parser)
    parser.add_argument("--crops", type=int, default=32, help="number of crops (default 32)")
    parser.add_argument("--crop-size", type=int, default=256, help="side of a crop in pixels (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the crops (default 0)")
    options = parser.parse_args()
    if options.crops < 1 or options.crop_size < 32:
        parser.error("--crops must be at least 1 and --crop-size at least 32")
    return options


def main() -> None:
    """Write the thin network."""
    options = parse_arguments()
    try:
        weights = read_weights(options.weights)
        wide = build_model(weights)
        datasets = [dataset_settings(options, path) for path in options.dataset]
        crops = read_crops(datasets, count=options.crops, crop_size=options.crop_size, seed=options.seed)
        thin = thin_network(wide, crops, width=options.width, echo=lambda line: print(line, flush=True))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    save_safetensors(thin, options.out, {"width": options.width, "detection": weights.metadata.get("detection", {})})
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
