"""The LinkRefiner: the authors' names and shapes, and links in place of affinity."""

import pytest
import torch

from craft.models.craft import CRAFT
from craft.models.refiner import LineNetwork, LinkRefiner, read_refiner, refiner_metadata
from craft.models.weights import save_safetensors
from tests.networks import lively_network


def test_names_and_shapes_are_those_of_the_authors_release():
    shapes = {name: tuple(value.shape) for name, value in LinkRefiner().state_dict().items()}

    # Each of 3 + 4 x 2 convolutions has a weight and a bias, and five entries of batch norm; 4 more end the branches.
    assert len(shapes) == 11 * 7 + 4 * 2
    assert shapes["last_conv.0.weight"] == (64, 34, 3, 3)
    assert shapes["last_conv.7.running_var"] == (64,)
    assert shapes["aspp1.0.weight"] == shapes["aspp4.0.weight"] == (128, 64, 3, 3)
    assert shapes["aspp2.3.weight"] == (128, 128, 1, 1)
    assert shapes["aspp3.6.bias"] == (1,)


def test_branches_look_6_12_18_and_24_pixels_far():
    refiner = LinkRefiner(2, channels=2).eval()
    with torch.no_grad():
        for layer in refiner.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.fill_(0.1)
                layer.bias.zero_()
        maps, features = torch.zeros(1, 2, 101, 101), torch.zeros(1, 2, 101, 101)
        maps[0, 0, 50, 50] = 1

        reached = refiner(maps, features)[0, 0, 50] > 0

    columns = torch.flatten(reached.nonzero()) - 50
    centres = {0, 6, 12, 18, 24, -6, -12, -18, -24}  # three convolutions before widen each by 3 pixels
    assert set(columns.tolist()) == {centre + spread for centre in centres for spread in range(-3, 4)}


def test_links_take_the_place_of_the_affinity_map():
    network, images = lively_network(seed=1).eval(), torch.rand(2, 3, 32, 64)
    refiner = LinkRefiner(network.level_channels["decoder2"], channels=4).eval()
    with torch.inference_mode():
        maps, levels = network(images)
        lines, same = LineNetwork(network, refiner)(images)

    torch.testing.assert_close(lines[:, 0], maps[:, 0])
    torch.testing.assert_close(lines[:, 1:], refiner(maps, levels["decoder2"]))
    assert lines.shape == maps.shape
    assert same.keys() == levels.keys()


def test_a_file_goes_with_its_network_alone(tmp_path):
    network, other = lively_network(seed=1), lively_network(seed=2)
    refiner = LinkRefiner(network.level_channels["decoder2"], channels=4)
    save_safetensors(refiner, tmp_path / "refiner.safetensors", refiner_metadata(network))
    torch.save(LinkRefiner().state_dict(), tmp_path / "original.pth")
    save_safetensors(network, tmp_path / "network.safetensors", {})

    read = read_refiner(tmp_path / "refiner.safetensors", network)

    torch.testing.assert_close(read.state_dict(), refiner.state_dict())
    assert not read.training
    for file in ("refiner.safetensors", "original.pth"):
        with pytest.raises(ValueError, match="another network than the one given"):
            read_refiner(tmp_path / file, other)
    with pytest.raises(ValueError, match="not a LinkRefiner"):
        read_refiner(tmp_path / "network.safetensors", network)


def test_the_authors_file_goes_with_any_network_of_their_width(tmp_path):
    torch.save(LinkRefiner().state_dict(), tmp_path / "original.pth")
    with torch.device("meta"):
        network = CRAFT()

    assert read_refiner(tmp_path / "original.pth", network).features == 32
