"""Layers fused into the convolutions before them compute the same."""

import copy

import pytest
import torch
from torch import nn

from craft.models import fusing
from craft.models.craft import CRAFT
from craft.models.fusing import fuse_layers
from craft.models.inference import normalise_images, run_network

FUSES = fusing._fused_operation() is not None


def trained_looking(width=0.125):
    """A network in evaluation mode whose biases and batch norms are as uneven as training leaves them."""
    generator = torch.Generator().manual_seed(3)
    model = CRAFT(width, generator=generator)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.bias, std=0.1, generator=generator)
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                nn.init.uniform_(values, 0.5, 1.5, generator=generator)
            for values in (layer.bias, layer.running_mean):
                nn.init.normal_(values, std=0.2, generator=generator)
    nn.init.normal_(model.conv_cls[-1].weight, generator=generator)
    return model.eval()


def random_images(height, width):
    shape = (2, 3, height, width)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.mark.parametrize("fused_operation", [True, False], ids=["one operation", "torch without it"])
@pytest.mark.parametrize("size_hw", [(64, 96), (50, 71)])
def test_maps_and_features_stay_the_same(size_hw, fused_operation, monkeypatch):
    model = trained_looking()
    images = random_images(*size_hw)
    with torch.inference_mode():
        maps, levels = run_network(model, images, precision=torch.float32)
    expected = {name: features.clone() for name, features in levels.items()}
    if not fused_operation:
        monkeypatch.setattr(fusing, "_fused_operation", lambda: None)

    fuse_layers(model)

    with torch.inference_mode():
        fused, levels = run_network(model, images, precision=torch.float32)
    assert maps.std() > 0.1
    torch.testing.assert_close(fused, maps, atol=1e-5, rtol=1e-5)
    for name, features in levels.items():
        torch.testing.assert_close(features, expected[name], atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not FUSES, reason="this torch has no fused convolution")
def test_relus_and_batch_norms_are_not_computed(monkeypatch):
    model = trained_looking()
    fuse_layers(model)
    monkeypatch.setattr(torch.nn.functional, "relu", None)
    monkeypatch.setattr(torch.nn.functional, "batch_norm", None)

    with torch.inference_mode():
        maps, _ = run_network(model, random_images(32, 64), precision=torch.float32)

    assert maps.shape == (2, 2, 16, 32)


def test_in_bf16_maps_are_as_close_as_autocast_makes_them():
    model = trained_looking()
    images = random_images(64, 96)
    with torch.inference_mode():
        exact, _ = run_network(model, images, precision=torch.float32)
        plain, _ = run_network(model, images, precision=torch.bfloat16)

    fuse_layers(model)

    with torch.inference_mode():
        fused, _ = run_network(model, images, precision=torch.bfloat16)
    assert fused.dtype == torch.bfloat16
    assert (fused - exact).abs().mean() < 1.2 * (plain - exact).abs().mean()


def test_gradients_and_names_are_left_and_copies_are_independent():
    model = trained_looking()
    names = list(model.state_dict())

    fuse_layers(model)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        model.conv_cls[-1].bias.add_(5)

    images = random_images(32, 32)
    with torch.inference_mode():
        shift = (
            run_network(model, images, precision=torch.float32)[0]
            - run_network(copied, images, precision=torch.float32)[0]
        )
    torch.testing.assert_close(shift, torch.full_like(shift, 5))
    assert list(model.state_dict()) == names
    run_network(model, images, precision=torch.float32)[0].sum().backward()
    assert model.basenet.slice1[0].weight.grad.abs().max() > 0


@pytest.mark.skipif(not FUSES, reason="this torch has no fused convolution")
@pytest.mark.parametrize("height", [2, 63, 64, 65, 66, 127, 130, 193])
def test_layers_in_strips_compute_what_whole_images_do(height):
    model = trained_looking()
    fuse_layers(model)
    first = model.basenet.slice1
    images = normalise_images(random_images(height, 70)).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        whole = nn.Sequential.forward(first, images.clone())

        torch.testing.assert_close(first(images), whole, atol=1e-5, rtol=1e-5)
