"""Thinning: nothing is lost where nothing has to be, and the refit makes up for part of what is."""

import pytest
import torch
from thinning import choose_channels, keep_channels, refit_kernels, sample_outputs, thin_network
from torch import Tensor, nn

from craft.models.craft import CRAFT
from craft.models.inference import evaluation_mode, run_network
from tests.networks import lively_network

POSITIONS = 32 * 32  # all


def ignore(_line: str) -> None:
    pass


def random_crops(count: int, *, seed: int = 0) -> Tensor:
    """Crops of 32 x 32 with structure at several sizes."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        nn.functional.interpolate(torch.rand(count, 3, side, side, generator=generator), size=32, mode="bilinear")
        for side in (4, 8, 32)
    ]
    return (sum(layers) / 3 * 255).to(torch.uint8)


def network_with_norms(*, seed: int, width: float) -> CRAFT:
    """A lively network whose batch norms differ from channel to channel and leave hardly any channel at zero."""
    network = lively_network(seed=seed, width=width)
    generator = torch.Generator().manual_seed(seed + 1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, low in ((layer.weight, 0.8), (layer.running_var, 0.5), (layer.bias, 1.0)):
                values.data.uniform_(low, low + 0.5, generator=generator)
            layer.running_mean.uniform_(-0.2, 0.2, generator=generator)
    return network


def maps(network: CRAFT, crops: Tensor) -> Tensor:
    with evaluation_mode(network):
        return run_network(network, crops, precision=torch.float32)[0]


def duplicated(narrow: CRAFT) -> CRAFT:
    """The same maps at twice the width: every channel stands twice, and its takers halve their kernels."""
    wide = CRAFT(2 * narrow.width)
    values = narrow.state_dict()
    with torch.no_grad():
        for name, own in wide.state_dict().items():
            value = values[name]
            for dimension, (size, wanted) in enumerate(zip(value.shape, own.shape, strict=True)):
                if size != wanted:
                    value = value.repeat_interleave(2, dim=dimension) / (2 if dimension == 1 else 1)
            own.copy_(value)
    return wide


def test_refit_of_every_channel_keeps_the_maps():
    wide = network_with_norms(seed=1, width=0.0625)
    crops = random_crops(8)
    outputs = sample_outputs(wide, crops, positions=POSITIONS)

    kept = choose_channels(wide, outputs, width=wide.width, echo=ignore)
    refitted = refit_kernels(keep_channels(wide, kept, width=wide.width), outputs, crops, ridge=1e-10, echo=ignore)

    before = maps(wide, crops)
    assert before.std() > 0.01
    assert (maps(refitted, crops) - before).abs().max() < 1e-4 * before.std()


def test_kept_channels_alone_are_a_copy_at_the_same_width():
    wide = network_with_norms(seed=1, width=0.0625)
    crops = random_crops(2)
    kept = choose_channels(wide, sample_outputs(wide, crops, positions=9), width=wide.width, echo=ignore)

    torch.testing.assert_close(maps(keep_channels(wide, kept, width=wide.width), crops), maps(wide, crops))


def test_refit_lowers_the_error_of_the_maps_on_other_crops():
    wide = network_with_norms(seed=2, width=0.125)
    crops, unseen = random_crops(16), random_crops(4, seed=1)
    outputs = sample_outputs(wide, crops, positions=POSITIONS)
    kept = choose_channels(wide, outputs, width=0.0625, echo=ignore)
    unfitted = keep_channels(wide, kept, width=0.0625)

    thin = thin_network(wide, crops, width=0.0625, positions=POSITIONS, echo=ignore)

    wanted = maps(wide, unseen)
    error, unfitted_error = ((maps(network, unseen) - wanted).square().mean() for network in (thin, unfitted))
    assert error < 0.1 * unfitted_error


def test_channels_that_stand_twice_are_thinned_to_half_without_loss():
    narrow = network_with_norms(seed=3, width=0.0625)
    wide = duplicated(narrow)
    crops = random_crops(8)
    torch.testing.assert_close(maps(wide, crops), maps(narrow, crops))

    kept = choose_channels(wide, sample_outputs(wide, crops, positions=POSITIONS), width=0.0625, echo=ignore)
    thin = thin_network(wide, crops, width=0.0625, positions=POSITIONS, ridge=1e-10, echo=ignore)

    assert (kept["basenet.slice1.0"] // 2).tolist() == [0, 1, 2, 3]  # one of each pair
    wanted = maps(wide, crops)
    assert (maps(thin, crops) - wanted).abs().max() < 1e-4 * wanted.std()


def test_the_wide_network_stays_as_it_is():
    wide = lively_network(seed=4, width=0.125)
    before = {name: value.clone() for name, value in wide.state_dict().items()}

    thin_network(wide, random_crops(1), width=0.0625, positions=20, echo=ignore)

    assert wide.training
    assert all(torch.equal(value, before[name]) for name, value in wide.state_dict().items())


@pytest.mark.parametrize("width", [0.125, 0.25, 0])
def test_width_that_is_not_smaller_is_refused(width):
    with pytest.raises(ValueError, match=r"is not below 0\.125"):
        thin_network(CRAFT(0.125), random_crops(1), width=width, echo=ignore)


def test_other_backbone_is_refused():
    network = CRAFT(0.125)
    network.backbone = "resnet50"

    with pytest.raises(ValueError, match="only networks of backbone vgg16_bn can be thinned, not resnet50"):
        thin_network(network, random_crops(1), width=0.0625, echo=ignore)


def test_region_path_is_refused():
    network = CRAFT(0.125)
    network.region = nn.Identity()

    with pytest.raises(ValueError, match="region path"):
        thin_network(network, random_crops(1), width=0.0625, echo=ignore)
