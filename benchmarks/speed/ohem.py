"""Time pixel-level mining, forward and backward, beside a version that sorts and the EasyOCR trainer's.

    python benchmarks/speed/ohem.py [--easyocr PATH_OF_A_CHECKOUT_OF_EASYOCR/trainer/craft]

Losses, gradients and kept pixels are compared first; exits with 1 where they differ. Every round runs each version
once, one after the other, so that ratios hold on a machine that others use too.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import statistics
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from timing import quartiles, ratios, time_in_turn
from torch import Tensor
from torch.nn.functional import interpolate

import craft.ohem.pixel
from craft.ohem.loss import pixel_loss
from craft.ohem.top_k import top_k_weights_by_bisection

RATIO, MIN_NEGATIVES = 3.0, 512
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--easyocr", type=Path, help="folder trainer/craft of a checkout of EasyOCR")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--size", type=int, default=384, help="height and width of the maps")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)

    versions: dict[str, Loss] = {"ours": ours, "ours, by bisection": ours_by_bisection, "sorting": sorting}
    if arguments.easyocr:
        versions["EasyOCR v3"] = easyocr_version(arguments.easyocr)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
    print(f"torch {torch.__version__}, {name}, {arguments.threads} threads, {arguments.images} images,")
    print(f"maps {arguments.size} x {arguments.size}, ratio {RATIO}, at least {MIN_NEGATIVES} negatives, float32")

    batch = random_batch(arguments.images, arguments.size, device)
    if not agree(versions, batch):
        return 1
    works = {version: partial(run, loss, batch) for version, loss in versions.items()}
    times = time_in_turn(works, rounds=arguments.rounds, warm_up=2, device=device)
    print("| version | median ms | quartiles ms | times ours (median) | quartiles |")
    print("| --- | --- | --- | --- | --- |")
    for version, seconds in times.items():
        relative = ratios(seconds, times["ours"])
        milliseconds = [1000 * value for value in seconds]
        print(
            f"| {version} | {statistics.median(milliseconds):.1f} | {quartiles(milliseconds, digits=1)} "
            f"| {statistics.median(relative):.2f} | {quartiles(relative)} |"
        )
    return 0


def random_batch(num_images: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores, maps, confidence and seeds; blobs of text over a share of the map that differs from image to image."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(num_images, 2, size // 8, size // 8, generator=generator)
    height = torch.linspace(-2.5, -0.5, num_images)[:, None, None, None]  # 0.5 % to 25 % of the map
    maps = interpolate(coarse + height, size=(size, size), mode="bicubic").clamp(0, 1)
    scores = maps + 0.2 * torch.randn(maps.shape, generator=generator)
    confidence = (interpolate(torch.rand(num_images, 1, 6, 6, generator=generator), size=(size, size)) > 0.05).float()
    confidence = confidence.expand_as(maps).contiguous()
    return scores.to(device), maps.to(device), confidence.to(device), torch.arange(num_images, device=device)


def ours(scores: Tensor, maps: Tensor, confidence: Tensor, seeds: Tensor) -> Tensor:
    return pixel_loss(scores, maps, confidence, seeds, rule="hardest", ratio=RATIO, min_negatives=MIN_NEGATIVES).loss


def ours_by_bisection(scores: Tensor, maps: Tensor, confidence: Tensor, seeds: Tensor) -> Tensor:
    """As devices other than the CPU do it."""
    with mock.patch.object(craft.ohem.pixel, "top_k_weights", top_k_weights_by_bisection):
        return ours(scores, maps, confidence, seeds)


def sorting(scores: Tensor, maps: Tensor, confidence: Tensor, seeds: Tensor) -> Tensor:
    """The same definition, the last error kept looked up in a sorted copy."""
    error = (scores - maps).square() * confidence
    with torch.no_grad():
        positive = (maps > 0.1) & (confidence > 0)
        negative = (confidence > 0) & ~positive
        num_positives = positive.sum(dim=(2, 3), keepdim=True)
        wanted = (RATIO * num_positives).ceil().long().clamp(min=MIN_NEGATIVES)
        num_kept = torch.minimum(wanted, negative.sum(dim=(2, 3), keepdim=True))
        ranked = torch.where(negative, error, -1.0)
        ordered = ranked.flatten(2).sort(dim=2, descending=True).values
        last = ordered.gather(2, (num_kept.flatten(2) - 1).clamp(min=0))[..., None]
        above, tied = ranked > last, ranked == last
        left = (num_kept - above.sum(dim=(2, 3), keepdim=True)) / tied.sum(dim=(2, 3), keepdim=True)
        weights = (above + tied * left) / num_kept.clamp(min=1) + positive / num_positives.clamp(min=1)
    return (weights * error).sum(dim=(2, 3)).mean(dim=0).sum()


def easyocr_version(checkout: Path) -> Loss:
    """Their loss, which takes one mask for both maps."""
    spec = importlib.util.spec_from_file_location("easyocr_loss", checkout / "loss" / "mseloss.py")
    if spec is None or spec.loader is None or not (checkout / "loss" / "mseloss.py").is_file():
        raise SystemExit(f"{checkout} has no loss/mseloss.py; give the folder trainer/craft of a checkout of EasyOCR")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theirs = module.Maploss_v3()

    def loss(scores: Tensor, maps: Tensor, confidence: Tensor, seeds: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about arguments of MSELoss that are gone
            return theirs(maps[:, 0], maps[:, 1], scores[:, 0], scores[:, 1], confidence[:, 0], RATIO, MIN_NEGATIVES)

    return loss


def agree(versions: dict[str, Loss], batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> bool:
    """Compare losses and gradients with ours; theirs where all is cared for, since they rank don't-care pixels too."""
    scores, maps, confidence, seeds = batch
    # They call a target of exactly 0.1 text; none is here.
    agreed = True
    for version, loss in versions.items():
        trust = torch.ones_like(confidence) if version.startswith("EasyOCR") else confidence
        expected, expected_gradient = run(ours, (scores, maps, trust, seeds))
        found, gradient = run(loss, (scores, maps, trust, seeds))
        difference = float((gradient - expected_gradient).abs().max() / expected_gradient.abs().max())
        relative = abs(float(found / expected) - 1)
        print(
            f"{version}: loss {float(found):.7f}, differs by {relative:.1e}; gradient by {difference:.1e} of its largest"
        )
        agreed &= relative < 1e-5 and difference < 1e-5
    print("agreed" if agreed else "DIFFERENT")
    return agreed


def run(loss: Loss, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    scores = batch[0].detach().requires_grad_()
    value = loss(scores, *batch[1:])
    value.backward()
    assert scores.grad is not None
    return value.detach(), scores.grad


if __name__ == "__main__":
    sys.exit(main())
