"""Show that our network and the authors' compute the same from the same file of weights, both ways.

    python benchmarks/agreement/original.py --original PATH_OF_A_CHECKOUT_OF_CLOVAAI_CRAFT_PYTORCH
    python benchmarks/agreement/original.py --original PATH --images data/icdar2015/ch4_training_images --numbers 901 950

Without --images, networks with random weights are compared; exits with 1 where maps or features differ by more than
1e-4, or gradients by more than 1e-4 of the largest. With it, the detector with --weights runs beside the authors' code
on real images at their sizes and thresholds; exits with 1 where maps differ by more than 1e-4, or the boxes differ.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

from craft.decode.words import words_from_maps
from craft.detection.detector import Detector
from craft.images.image_like import load_image
from craft.models.craft import CRAFT
from craft.models.inference import normalise_images
from craft.models.refiner import read_refiner
from craft.models.weights import build_model, read_weights, save_original

SIZES_HW = ((64, 64), (160, 224), (256, 320), (133, 201), (50, 71))  # the last two are no multiples of 32
LARGEST_DIFFERENCE = 1e-4
LARGEST_CORNER = 1e-2  # of a corner, image pixels
ORIGINAL: dict[str, Any] = {
    "canvas": 1280,
    "magnify": 1.5,
    "text_threshold": 0.7,
    "low_text": 0.4,
    "link_threshold": 0.4,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, required=True, help="checkout of clovaai/CRAFT-pytorch")
    parser.add_argument("--seeds", type=int, default=3, help="random networks tried in each direction")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=Path, help="folder of real images: compare detection with --weights")
    parser.add_argument("--numbers", type=int, nargs=2, default=(1, 50), help="with --images: img_FIRST.jpg to LAST")
    parser.add_argument("--weights", default="mlt", help="with --images: the authors' weights (default mlt)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    build_original = load_original(arguments.original)
    if arguments.images is not None:
        return compare_detection(build_original, arguments)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, {platform.processor() or 'CPU'}, float32")
    print("| weights | seed | entries | largest map | maps differ by | features differ by | gradients differ by |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    agreed = True
    for seed in range(arguments.seeds):
        for direction, carry in (("ours to theirs", ours_to_theirs), ("theirs to ours", theirs_to_ours)):
            with tempfile.TemporaryDirectory() as folder:
                ours, theirs = carry(build_original, Path(folder) / "weights.pth", seed)
            maps, features, largest = forward_difference(ours, theirs, seed)
            gradients = gradient_difference(ours, theirs, seed)
            agreed &= max(maps, features, gradients) <= LARGEST_DIFFERENCE
            print(
                f"| {direction} | {seed} | {len(ours.state_dict())} | {largest:.3f} | {maps:.1e} | {features:.1e} "
                f"| {gradients:.1e} |"
            )
    for seed in range(arguments.seeds):
        difference = refiner_difference(load_file(arguments.original, "refinenet").RefineNet, seed)
        agreed &= difference <= LARGEST_DIFFERENCE
        print(f"LinkRefiner, theirs to ours, seed {seed}: links differ by {difference:.1e}")
    print("agreed" if agreed else f"DIFFERENT by more than {LARGEST_DIFFERENCE}")
    return 0 if agreed else 1


def load_original(checkout: Path) -> type[nn.Module]:
    """Import their network under another name than ours, with a stand-in for what torchvision no longer has."""
    torchvision.models.vgg.model_urls = {"vgg16_bn": ""}
    sys.path.insert(0, str(checkout))  # for their `basenet`
    build_original = load_file(checkout, "craft").CRAFT
    sys.path.remove(str(checkout))
    return build_original


def load_file(checkout: Path, name: str) -> ModuleType:
    """Import a file of the checkout; what it reads image files with is not needed."""
    spec = importlib.util.spec_from_file_location(f"original_{name}", checkout / f"{name}.py")
    if spec is None or spec.loader is None or not (checkout / f"{name}.py").is_file():
        raise SystemExit(f"{checkout}: no {name}.py in it; give a checkout of clovaai/CRAFT-pytorch")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("skimage", ModuleType("skimage")).io = None  # type: ignore[attr-defined]
    spec.loader.exec_module(module)
    return module


def compare_detection(build_original: type[nn.Module], arguments: argparse.Namespace) -> int:
    """Maps and boxes of both programs on real images, at the original's sizes and thresholds."""
    detector = Detector.from_weights(arguments.weights, device="cpu", precision="fp32", **ORIGINAL)
    theirs = build_original().eval()
    theirs.load_state_dict(read_weights(arguments.weights).state, strict=True)
    imgproc, craft_utils = (load_file(arguments.original, name) for name in ("imgproc", "craft_utils"))
    numbers = range(arguments.numbers[0], arguments.numbers[1] + 1)
    worst_maps = worst_corner = 0.0
    num_boxes = unequal = 0
    for done, number in enumerate(numbers, 1):
        image = load_image(arguments.images / f"img_{number}.jpg")
        maps, boxes = detect_as_they_do(theirs, imgproc, craft_utils, image)
        scored = detector.score(image)
        found = words_from_maps(*scored[:3], settings=detector.settings).quads_xy
        worst_maps = max(worst_maps, float(np.abs(np.stack([scored.region, scored.affinity]) - maps).max()))
        num_boxes += len(boxes)
        unequal += len(found) != len(boxes)
        if len(found) == len(boxes) > 0:
            worst_corner = max(worst_corner, float(np.abs(found - boxes).max()))
        print(
            f"img_{number}: {done} images, {num_boxes} boxes; maps differ by at most {worst_maps:.1e}, corners by "
            f"{worst_corner:.1e} px, {unequal} images with another number of boxes",
            flush=True,
        )
    return int(worst_maps > LARGEST_DIFFERENCE or unequal > 0 or worst_corner > LARGEST_CORNER)


def detect_as_they_do(
    network: nn.Module, imgproc: ModuleType, craft_utils: ModuleType, image: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Call their functions as the `test_net` of their test.py does: maps (2, H, W), and boxes in image pixels."""
    resized, ratio, _ = imgproc.resize_aspect_ratio(
        image, ORIGINAL["canvas"], interpolation=cv2.INTER_LINEAR, mag_ratio=ORIGINAL["magnify"]
    )
    pixels = torch.from_numpy(imgproc.normalizeMeanVariance(resized)).permute(2, 0, 1)
    with torch.no_grad():
        maps = network(pixels[None])[0][0].permute(2, 0, 1).numpy()
    thresholds = (ORIGINAL[name] for name in ("text_threshold", "link_threshold", "low_text"))
    boxes, _ = craft_utils.getDetBoxes(maps[0], maps[1], *thresholds)
    return maps, np.asarray(craft_utils.adjustResultCoordinates(boxes, 1 / ratio, 1 / ratio), np.float32)


def ours_to_theirs(build_original: type[nn.Module], path: Path, seed: int) -> tuple[CRAFT, nn.Module]:
    ours = CRAFT(generator=torch.Generator().manual_seed(seed))
    make_lively(ours, seed)
    save_original(ours, path)
    theirs = build_original()
    theirs.load_state_dict(torch.load(str(path), weights_only=True), strict=True)
    return ours, theirs


def theirs_to_ours(build_original: type[nn.Module], path: Path, seed: int) -> tuple[CRAFT, nn.Module]:
    torch.manual_seed(1000 + seed)
    theirs = build_original()
    make_lively(theirs, 1000 + seed)
    torch.save(nn.DataParallel(theirs).state_dict(), path)  # with "module." before every name, as they released theirs
    return build_model(read_weights(path)), theirs


def refiner_difference(build_refiner: type[nn.Module], seed: int) -> float:
    """Largest difference of the links, from the same maps and features, of a LinkRefiner in their file."""
    torch.manual_seed(seed)
    theirs = build_refiner()
    make_lively(theirs, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "refiner.pth"
        torch.save(nn.DataParallel(theirs).state_dict(), path)
        ours = read_refiner(path, CRAFT())
    worst = 0.0
    for height, width in SIZES_HW:
        maps, features = torch.rand(2, 2, height, width), torch.rand(2, 32, height, width)
        with torch.inference_mode():
            links = theirs.eval()(maps.permute(0, 2, 3, 1), features).permute(0, 3, 1, 2)
            worst = max(worst, float((links - ours(maps, features)).abs().max()))
    return worst


def make_lively(model: nn.Module, seed: int) -> None:
    """Give batch norms statistics and parameters unlike 0 and 1, and convolutions biases, as training would."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.1, generator=generator)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(layer.bias, std=0.2, generator=generator)
            nn.init.normal_(layer.running_mean, std=0.2, generator=generator)
            nn.init.uniform_(layer.running_var, 0.5, 1.5, generator=generator)


def random_images(size_hw: tuple[int, int], seed: int) -> Tensor:
    pixels = torch.randint(0, 256, (2, 3, *size_hw), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return normalise_images(pixels)


def forward_difference(ours: nn.Module, theirs: nn.Module, seed: int) -> tuple[float, float, float]:
    """Largest differences of maps and of features over all sizes, and the largest map value."""
    maps = features = largest = 0.0
    ours.eval()
    theirs.eval()
    for size_hw in SIZES_HW:
        images = random_images(size_hw, seed)
        with torch.inference_mode():
            our_maps, our_levels = ours(images)
            their_maps, their_features = theirs(images)
        their_maps = their_maps.permute(0, 3, 1, 2)
        maps = max(maps, float((our_maps - their_maps).abs().max()))
        features = max(features, float((our_levels["decoder2"] - their_features).abs().max()))
        largest = max(largest, float(their_maps.abs().max()))
    return maps, features, largest


def gradient_difference(ours: nn.Module, theirs: nn.Module, seed: int) -> float:
    """Largest difference of a parameter's gradients after one training step's backward, over its largest gradient."""
    images = random_images((64, 96), seed)
    gradients = []
    for model in (ours, theirs):
        model.train()
        model.zero_grad()
        maps, _ = model(images)
        maps.square().mean().backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    worst = 0.0
    for name, gradient in gradients[0].items():
        scale = max(float(gradients[1][name].abs().max()), 1e-6)
        worst = max(worst, float((gradient - gradients[1][name]).abs().max()) / scale)
    return worst


if __name__ == "__main__":
    sys.exit(main())
