"""Show that our network and the authors' compute the same from the same file of weights, both ways.

    python benchmarks/agreement/original.py --original PATH_OF_A_CHECKOUT_OF_CLOVAAI_CRAFT_PYTORCH

Exits with 1 where maps or features differ by more than 1e-4, or gradients by more than 1e-4 of the largest.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
import tempfile
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from craft.models.craft import CRAFT
from craft.models.inference import normalise_images
from craft.models.weights import build_model, read_weights, save_original

SIZES_HW = ((64, 64), (160, 224), (256, 320), (133, 201), (50, 71))  # the last two are no multiples of 32
LARGEST_DIFFERENCE = 1e-4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, required=True, help="checkout of clovaai/CRAFT-pytorch")
    parser.add_argument("--seeds", type=int, default=3, help="random networks tried in each direction")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    build_original = load_original(arguments.original)
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
    print("agreed" if agreed else f"DIFFERENT by more than {LARGEST_DIFFERENCE}")
    return 0 if agreed else 1


def load_original(checkout: Path) -> type[nn.Module]:
    """Import their network under another name than ours, with a stand-in for what torchvision no longer has."""
    torchvision.models.vgg.model_urls = {"vgg16_bn": ""}
    sys.path.insert(0, str(checkout))  # for their `basenet`
    spec = importlib.util.spec_from_file_location("original_craft", checkout / "craft.py")
    if spec is None or spec.loader is None or not (checkout / "craft.py").is_file():
        raise SystemExit(f"{checkout}: no craft.py in it; give a checkout of clovaai/CRAFT-pytorch")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(checkout))
    return module.CRAFT


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
