"""One forward pass by each backend, in turn: milliseconds, times as fast, memory, and the same words.

    python benchmarks/speed/backends.py --weights mlt --exports FOLDER --images SCENES --numbers 1 100 \\
        --original PATH_OF_A_CHECKOUT_OF_CLOVAAI_CRAFT_PYTORCH --foreign RapidOCR=DETECTOR.onnx

FOLDER holds what `craft export` wrote from the weights: any of network.onnx, network.xml, network-int8.onnx and
network.pt2. Words are compared first: the F of each backend's quads against the first's, at IoU 0.7, each scene at the
settings that travel with the weights, in one pass. The first is the authors' network where --original is given (full
width only), else ours run as theirs is: eager torch in float32. A foreign detector's network takes (1, 3, H, W) float32;
its words are not compared. Every backend has a process of its own, whose peak memory is given.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.agreement.original import load_original
from benchmarks.speed.timing import describe, quartiles, ratios
from craft.decode.words import words_from_maps
from craft.detection.detector import Detector
from craft.detection.network_input import network_size, resize_and_pad, source_scale
from craft.evaluation.iou import evaluate_image
from craft.images.reader import read_image
from craft.memory import bound_memory_of_sizes, peak_memory_bytes, reuse_features
from craft.models.device import choose_precision
from craft.models.exported import ExportedNetwork
from craft.models.fusing import fuse_layers
from craft.models.inference import normalise_images, run_network
from craft.models.weights import build_model, read_weights

Forward = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="small")
    parser.add_argument("--exports", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder of img_N.jpg")
    parser.add_argument("--numbers", type=int, nargs=2, default=(1, 100))
    parser.add_argument("--original", type=Path, help="checkout of clovaai/CRAFT-pytorch, for full width")
    parser.add_argument("--foreign", metavar="NAME=FILE.onnx", help="another detector's network")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, nargs=2, default=(960, 1280), help="height and width of the timed pass")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds; 0 compares words only")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu where other programs run beside")
    options = parser.parse_args()
    builders = backends(options)
    foreign_name, _, foreign_path = (options.foreign or "").partition("=")
    if foreign_name:
        builders[foreign_name] = partial(foreign, foreign_path)
    spawning = multiprocessing.get_context("spawn")
    pools = {name: spawning.Pool(1, start, (build, options.threads)) for name, build in builders.items()}
    paths = [options.images / f"img_{number}.jpg" for number in range(options.numbers[0], options.numbers[1] + 1)]
    works = {name: partial(pool.apply, run) for name, pool in pools.items() if name != foreign_name}
    scores = {name: f"{score:.4f}" for name, score in compare_words(works, options.weights, paths).items()}
    print(f"{options.weights}, {options.size[1]} x {options.size[0]}, threads: {options.threads}; {len(paths)} scenes")
    pixels = resize_and_pad(read_image(paths[0]), (options.size[0], options.size[1]))[None]
    seconds: dict[str, list[float]] = {name: [] for name in pools}
    for number in range(options.rounds + 1):  # the first does not count
        for name, pool in pools.items():
            passed = pool.apply(timed, (pixels, options.clock))
            if number > 0:
                seconds[name].append(passed)
    print("| backend | forward | times as fast (quartiles) | peak memory of its process | F of its words at IoU 0.7 |")
    print("| --- | --- | --- | --- | --- |")
    for name, values in seconds.items():
        took = "- | -"
        if values:
            faster = ratios(next(iter(seconds.values())), values)
            took = f"{describe(values, digits=0)} | {np.median(faster):.2f} ({quartiles(faster)})"
        peak = pools[name].apply(peak_memory_bytes)
        print(f"| {name} | {took} | {peak >> 20} MiB | {scores.get(name, '-')} |")


def backends(options: argparse.Namespace) -> dict[str, Callable[[], Forward]]:
    """What builds the forward passes to compare; the first is the reference."""
    weights, exports = options.weights, options.exports
    found: dict[str, Callable[[], Forward]] = {}
    if options.original is not None:
        found["the authors' code"] = partial(original, weights, options.original)
    else:
        found["torch, eager fp32"] = partial(eager, weights)
    found["torch, as detection runs it, fp32"] = partial(as_detection_does, weights, torch.float32)
    if choose_precision("auto", torch.device("cpu")) == torch.bfloat16:
        found["torch, as detection runs it, bf16"] = partial(as_detection_does, weights, torch.bfloat16)
    for name, file, precision in (
        ("torch.export, fp32", "network.pt2", "fp32"),
        ("ONNX Runtime, fp32", "network.onnx", "fp32"),
        ("ONNX Runtime, int8", "network-int8.onnx", "fp32"),
        ("OpenVINO, fp32", "network.xml", "fp32"),
        ("OpenVINO, its own choice", "network.xml", "auto"),
    ):
        if (exports / file).is_file():
            found[name] = partial(ExportedNetwork, exports / file, precision=precision)
    return found


def original(weights: str, checkout: Path) -> Forward:
    """The authors' network, run as their test.py does."""
    network = load_original(checkout)().eval()
    network.load_state_dict(read_weights(weights).state, strict=True)

    def work(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            maps, _ = network(normalise_images(torch.from_numpy(pixels).permute(0, 3, 1, 2)).contiguous())
        return maps.permute(0, 3, 1, 2).numpy()

    return work


def eager(weights: str) -> Forward:
    """Our network, run as the authors run theirs."""
    network = build_model(read_weights(weights)).eval()

    def work(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            maps, _ = network(normalise_images(torch.from_numpy(pixels).permute(0, 3, 1, 2)).contiguous())
        return maps.numpy()

    return work


def as_detection_does(weights: str, precision: torch.dtype) -> Forward:
    """Our network with its layers fused, channels last."""
    network = build_model(read_weights(weights)).eval()
    fuse_layers(network)
    network.to(memory_format=torch.channels_last)

    bound_memory_of_sizes()

    def work(pixels: np.ndarray) -> np.ndarray:
        reuse_features(pixels.size // 3)
        with torch.inference_mode():
            maps, _ = run_network(network, torch.from_numpy(pixels).permute(0, 3, 1, 2), precision=precision)
        return maps.float().numpy()

    return work


def foreign(path: str) -> Forward:
    """Another detector's network by ONNX Runtime; what it gives is not used."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1})[0]


def compare_words(works: Mapping[str, Callable[..., np.ndarray]], weights: str, images: list[Path]) -> dict[str, float]:
    """F of every backend's words against the first's."""
    settings = Detector.from_weights(weights, device="cpu").settings
    counts = {name: np.zeros(2) for name in works}
    for path in images:
        image = read_image(path)
        source_hw = (image.shape[0], image.shape[1])
        size_hw = network_size(source_hw, settings)
        pixels = resize_and_pad(image, size_hw)[None]
        scale_xy = source_scale(source_hw, size_hw, settings)
        quads = {
            name: words_from_maps(*work((pixels,))[0], scale_xy, settings=settings).quads_xy
            for name, work in works.items()
        }
        expected = next(iter(quads.values()))
        for name, own in quads.items():
            matched = evaluate_image(expected, [False] * len(expected), own, iou_threshold=0.7).truth_credit
            counts[name] += matched, len(own) + len(expected)
    return {name: float(2 * matched / max(total, 1)) for name, (matched, total) in counts.items()}


def start(build: Callable[[], Forward], threads: int) -> None:
    """Make this process the one of a backend."""
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # which exported networks read
    run.work = build()  # type: ignore[attr-defined]


def run(pixels: np.ndarray) -> np.ndarray:
    """The maps by this process's backend."""
    return run.work(pixels)  # type: ignore[attr-defined]


def timed(pixels: np.ndarray, clock: str) -> float:
    """Seconds of one pass."""
    now = time.process_time if clock == "cpu" else time.perf_counter
    begin = now()
    run(pixels)
    return now() - begin


if __name__ == "__main__":
    main()
