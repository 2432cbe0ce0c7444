"""One forward pass by each backend, in turn, at one thread: milliseconds, times as fast as eager torch, and the same words.

    OMP_NUM_THREADS=1 python benchmarks/speed/backends.py --weights small --exports FOLDER --images SCENES --numbers 1 100

FOLDER holds what `craft export` wrote from the weights: any of network.onnx, network.xml, network-int8.onnx and
network.pt2. Words are compared first: the F of each backend's quads against eager torch's, at IoU 0.7.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed.timing import describe, quartiles, ratios, time_in_turn
from craft.config import DetectionSettings
from craft.decode.words import words_from_maps
from craft.detection.detector import Detector
from craft.detection.network_input import network_size, resize_and_pad, source_scale
from craft.evaluation.iou import evaluate_image
from craft.images.reader import read_image
from craft.models.device import choose_precision
from craft.models.exported import ExportedNetwork
from craft.models.freezing import freeze_batch_norm
from craft.models.fusing import fuse_layers
from craft.models.inference import normalise_images
from craft.models.weights import build_model, read_weights

Forward = Callable[[np.ndarray], np.ndarray]


def eager(model: torch.nn.Module, pixels: np.ndarray, *, channels_last: bool = False, bf16: bool = False) -> np.ndarray:
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return model(normalise_images(images).contiguous(memory_format=layout))[0].float().numpy()


def backends(weights: str, exports: Path) -> dict[str, Forward]:
    """The forward passes to compare; the first is the reference."""
    model = build_model(read_weights(weights)).eval()
    folded = build_model(read_weights(weights)).eval()
    freeze_batch_norm(folded)
    fused = build_model(read_weights(weights)).eval()
    fuse_layers(fused)
    for network in (folded, fused):
        network.to(memory_format=torch.channels_last)
    found: dict[str, Forward] = {
        "torch, eager fp32": partial(eager, model),
        "torch, folded fp32": partial(eager, folded, channels_last=True),
        "torch, as detection runs it, fp32": partial(eager, fused, channels_last=True),
    }
    if choose_precision("auto", torch.device("cpu")) == torch.bfloat16:
        found["torch, folded bf16"] = partial(eager, folded, channels_last=True, bf16=True)
        found["torch, as detection runs it, bf16"] = partial(eager, fused, channels_last=True, bf16=True)
    for name, file, backend in (
        ("torch.export fp32", "network.pt2", "torch"),
        ("ONNX Runtime fp32", "network.onnx", "onnx"),
        ("ONNX Runtime int8", "network-int8.onnx", "onnx"),
        ("OpenVINO fp32", "network.xml", "openvino"),
    ):
        if (exports / file).is_file():
            found[name] = ExportedNetwork(exports / file, backend=backend, precision="fp32")
    if (exports / "network.xml").is_file():
        found["OpenVINO, its choice"] = ExportedNetwork(exports / "network.xml", precision="auto")
    return found


def compare_words(works: dict[str, Forward], settings: DetectionSettings, images: list[Path]) -> dict[str, float]:
    """F of every backend's words against the first's."""
    counts = {name: np.zeros(2) for name in works}
    for path in images:
        image = read_image(path)
        source_hw = (image.shape[0], image.shape[1])
        size_hw = network_size(source_hw, settings)
        pixels = resize_and_pad(image, size_hw)[None]
        scale_xy = source_scale(source_hw, size_hw, settings)
        quads = {
            name: words_from_maps(*work(pixels)[0], scale_xy, settings=settings).quads_xy
            for name, work in works.items()
        }
        expected = next(iter(quads.values()))
        for name, own in quads.items():
            matched = evaluate_image(expected, [False] * len(expected), own, iou_threshold=0.7).truth_credit
            counts[name] += matched, len(own) + len(expected)
    return {name: float(2 * matched / max(total, 1)) for name, (matched, total) in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="small")
    parser.add_argument("--exports", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="folder of img_N.jpg")
    parser.add_argument("--numbers", type=int, nargs=2, default=(1, 100))
    parser.add_argument("--size", type=int, nargs=2, default=(960, 1280), help="height and width of the timed pass")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu where other programs run beside")
    options = parser.parse_args()
    torch.set_num_threads(1)
    works = backends(options.weights, options.exports)
    settings = Detector.from_weights(options.weights, device="cpu").settings
    paths = [options.images / f"img_{number}.jpg" for number in range(options.numbers[0], options.numbers[1] + 1)]
    scores = compare_words(works, settings, paths)
    pixels = resize_and_pad(read_image(paths[0]), (options.size[0], options.size[1]))[None]
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    passes = {name: partial(work, pixels) for name, work in works.items()}
    seconds = time_in_turn(passes, rounds=options.rounds, clock=clock)
    reference = next(iter(seconds.values()))
    print(f"{options.weights}, {options.size[1]} x {options.size[0]}, one thread; words of {len(paths)} scenes")
    print("| backend | forward | times as fast (quartiles) | F of its words at IoU 0.7 |")
    print("| --- | --- | --- | --- |")
    for name, values in seconds.items():
        faster = ratios(reference, values)
        print(
            f"| {name} | {describe(values, digits=0)} | {np.median(faster):.2f} ({quartiles(faster)}) | {scores[name]:.4f} |"
        )


if __name__ == "__main__":
    main()
