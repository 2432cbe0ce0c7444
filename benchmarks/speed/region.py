"""Table 2 of OHEM on text: seconds and peak memory of a step with heuristic sampling, two passes, and zeroed losses.

    python benchmarks/speed/region.py [--device cuda] [--width 1] [--size 640] [--images 1] [--repeats 5]

First it checks that two passes and the zeroed way choose the same RoIs and give the same gradients within 1e-5 of the
largest, in float32. Then the samplers take turns: warm-up, then forward, RoIs, both losses and backward, synchronised.
Peak memory is measured in a process of its own for each: of tensors on a GPU; on a CPU of the process, above what it
holds before the first step. Weights are fresh; times do not depend on what they say.
"""

import argparse
import json
import subprocess
import sys
import time

import numpy as np
import torch
from timing import describe, synchronise

from craft.config import RegionProposalSettings, RegionSettings
from craft.datasets.batch import Batch
from craft.models.craft import CRAFT
from craft.models.device import peak_memory_bytes
from craft.models.inference import run_network
from craft.models.region_head import RegionArchitecture, add_region_path
from craft.ohem.loss import pixel_loss
from craft.region.loss import head_loss
from craft.region.pass_times import PassTimes
from craft.region.proposals import batch_rois
from craft.training.batch import batch_targets

SAMPLERS = ("heuristic", "ohem", "ohem-zeroed", "all")
# Table 2 of Shrivastava et al. 2016, VGG16, Fast R-CNN: seconds an iteration and gigabytes.
PAPER = {"heuristic": "0.60 s, 11.2 GB (0.57 s, 6.4 GB accumulated)", "ohem": "1.00 s, 8.7 GB (accumulated)"}


def make_batch(images: int, size: int) -> Batch:
    """Noise with words on it: losses and labels of every kind, from nothing but a seed."""
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, size * 0.7, (images * 12, 2))
    sides = np.stack([generator.uniform(30, size * 0.3, len(corners)), generator.uniform(12, 60, len(corners))], axis=1)
    low, high = corners, corners + sides
    x, y = np.stack([low[:, 0], high[:, 0]]), np.stack([low[:, 1], high[:, 1]])
    quads = np.stack([x[[0, 1, 1, 0]], y[[0, 0, 1, 1]]], axis=-1).transpose(1, 0, 2).astype(np.float32)
    words = np.arange(len(quads))
    pixels = torch.from_numpy(generator.integers(0, 256, (images, size, size, 3), dtype=np.uint8)).permute(0, 3, 1, 2)
    confidence = np.where(words % 12 == 0, 0, 1).astype(np.float32)
    cared = confidence > 0
    seeds = torch.arange(1, images + 1)
    return Batch(
        pixels,
        quads[cared],
        words[cared],
        quads,
        words,
        words // 12,
        confidence,
        seeds,
        [str(i) for i in range(images)],
    )


def build(arguments: argparse.Namespace, device: torch.device) -> tuple[CRAFT, RegionSettings]:
    network = CRAFT(arguments.width, generator=torch.Generator().manual_seed(0))
    architecture = RegionArchitecture(levels=("decoder2", "decoder8"))
    path = add_region_path(network, architecture, seed=0)
    with torch.no_grad():
        path.head.text.weight.mul_(30)  # so that a fresh head finds some RoIs harder than others
    settings = RegionSettings(enabled=True, proposals=RegionProposalSettings(network=1200, grid=600))
    return network.to(device).to(memory_format=torch.channels_last).train(), settings


def run_step(network: CRAFT, settings: RegionSettings, batch: Batch, sampler: str, device: torch.device):
    """One step without the optimizer: what the loop does, with random choices that follow from the batch alone."""
    targets = batch_targets(batch, device)
    maps, levels = run_network(network, batch.images.to(device), precision=torch.float32)
    seeds = batch.seeds.to(device)
    pixels = pixel_loss(maps, targets.maps, targets.confidence, seeds, rule="hardest", ratio=3.0, min_negatives=512)
    rois, proposals = batch_rois(network.region, maps, levels, batch, settings, learn=True)
    numbers = {"count": settings.rois_per_image, "background_low": 0.1, "nms_iou": settings.nms_iou}
    found = head_loss(network.region.head, levels, rois, seeds, sampler=sampler, times=PassTimes(device), **numbers)
    network.zero_grad(set_to_none=True)
    (pixels.loss + settings.weight * (found.loss + proposals)).backward()
    return found, sum(map(len, rois))


def check(arguments: argparse.Namespace, device: torch.device) -> None:
    network, settings = build(arguments, device)
    network.eval()  # batch norm statistics stay, so that both ways see the same features
    batch = make_batch(arguments.images, arguments.size)
    results = {}
    for sampler in ("ohem", "ohem-zeroed"):
        found, num_rois = run_step(network, settings, batch, sampler, device)
        gradients = {name: p.grad.clone() for name, p in network.named_parameters()}
        results[sampler] = ([index.tolist() for index in found.chosen], gradients)
    (first, first_gradients), (second, second_gradients) = results.values()
    same = first == second
    worst = max(
        ((first_gradients[name] - other).abs().max() / other.abs().max().clamp(min=1e-12)).item()
        for name, other in second_gradients.items()
    )
    print(f"{num_rois} RoIs, {sum(map(len, first))} chosen; the same ones: {same}")
    print(f"largest difference of a gradient, relative to its tensor's largest: {worst:.1e}")
    if not same or worst > 1e-5:
        raise SystemExit("two passes and the zeroed way differ; times would mean nothing")


def peak_mebibytes(arguments: argparse.Namespace, device: torch.device) -> None:
    """Do two steps with one sampler and print the peak memory, for the process that asked."""
    network, settings = build(arguments, device)
    batch = make_batch(arguments.images, arguments.size)
    idle = 0 if device.type == "cuda" else peak_memory_bytes(device)  # libraries, network and batch
    for _ in range(2):
        run_step(network, settings, batch, arguments.measure, device)
    print(json.dumps((peak_memory_bytes(device) - idle) / 2**20))


def times(arguments: argparse.Namespace, device: torch.device) -> dict[str, list[tuple[float, float]]]:
    """Seconds and processor seconds of each step; samplers take turns, so that other load meets all of them alike."""
    network, settings = build(arguments, device)
    batch = make_batch(arguments.images, arguments.size)
    found: dict[str, list[tuple[float, float]]] = {sampler: [] for sampler in SAMPLERS}
    for repeat in range(arguments.repeats + 1):
        for sampler, seconds in found.items():
            start, processor = time.perf_counter(), time.process_time()
            run_step(network, settings, batch, sampler, device)
            synchronise(device)
            if repeat > 0:
                seconds.append((time.perf_counter() - start, time.process_time() - processor))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--measure", choices=SAMPLERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if arguments.measure is not None:
        peak_mebibytes(arguments, device)
        return
    check(arguments, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(
        f"\n{name}, torch {torch.__version__}, width {arguments.width:g}, {arguments.images} x {arguments.size} px, fp32"
    )
    print(f"{'sampler':<14}{'time (range)':>26}{'processor (range)':>26}{'peak MiB':>10}  paper (VOC07, VGG16)")
    for sampler, seconds in times(arguments, device).items():
        command = [sys.executable, __file__, *sys.argv[1:], "--measure", sampler]
        memory = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        columns = "".join(
            f"{describe(values, scale=1, unit='s', digits=3):>26}" for values in zip(*seconds, strict=True)
        )
        print(f"{sampler:<14}{columns}{memory:>10.0f}  {PAPER.get(sampler, '-')}")


if __name__ == "__main__":
    main()
