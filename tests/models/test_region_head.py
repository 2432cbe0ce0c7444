"""The region path: what it reads, what it gives, and how it travels with weights."""

import pytest
import torch

from craft.models.craft import CRAFT, LEVEL_STRIDES
from craft.models.inference import normalise_images
from craft.models.region_head import (
    BOX_CODER,
    RegionArchitecture,
    RegionHead,
    add_region_path,
    region_path,
)
from craft.models.weights import build_model, read_weights, save_original, save_safetensors

WIDTH = 0.0625
LEVEL_CHANNELS = {"vgg4": 256, "vgg8": 512, "decoder8": 128, "decoder4": 64, "decoder2": 32}  # at width 1


def small_head(**changes):
    fields = {"pool_hw": (2, 3), "hidden": 8} | changes
    channels = {name: int(WIDTH * full) for name, full in LEVEL_CHANNELS.items()}
    return RegionHead(RegionArchitecture(**fields), channels, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    return CRAFT(WIDTH, generator=torch.Generator().manual_seed(1)).eval()


@pytest.fixture
def images():
    return torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def test_levels_have_the_channels_and_strides_they_are_said_to_have(network, images):
    with torch.no_grad():
        _maps, levels = network(normalise_images(images))

    assert set(levels) == set(LEVEL_CHANNELS) == set(LEVEL_STRIDES) == set(network.level_channels)
    for name, level in levels.items():
        assert level.shape == (2, LEVEL_CHANNELS[name] * WIDTH, 64 // LEVEL_STRIDES[name], 96 // LEVEL_STRIDES[name])


def test_maps_are_computed_from_the_finest_level_of_the_decoder(network, images):
    with torch.no_grad():
        maps, levels = network(normalise_images(images))

        assert torch.equal(maps, network.conv_cls(levels["decoder2"]))


def test_roialign_reads_a_linear_ramp_at_the_cells_centres():
    head = small_head(pool_hw=(1, 2))
    columns = torch.arange(20.0).expand(1, 2, 10, 20) + 0.5  # x of each feature pixel's centre, in feature pixels

    pooled = head.pool({"decoder2": columns}, [torch.tensor([[8.0, 4.0, 24.0, 12.0]])])

    # The box is 4 to 12 in feature pixels; its two cells have their centres at 6 and 10.
    torch.testing.assert_close(pooled, torch.tensor([[6.0, 10.0, 6.0, 10.0]]))


def test_several_levels_are_read_side_by_side(network, images):
    head = small_head(levels=("decoder2", "vgg8"))
    with torch.no_grad():
        _maps, levels = network(normalise_images(images))
        pooled = head.pool(levels, [torch.tensor([[0.0, 0, 20, 10]]), torch.tensor([[4.0, 4, 40, 30]] * 3)])

    assert pooled.shape == (4, (2 + 32) * 6)


def test_no_boxes_give_no_outputs_and_a_gradient_of_zero(network, images):
    head = small_head()
    _maps, levels = network(normalise_images(images))

    odds, corrections = head(levels, [torch.zeros(0, 4), torch.zeros(0, 4)])
    (odds.sum() + corrections.sum()).backward()

    assert odds.shape == (0,)
    assert corrections.shape == (0, 4)
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in head.parameters())


def test_bfloat16_features_are_classified_in_float32():
    head = small_head()

    odds, _corrections = head({"decoder2": torch.rand(1, 2, 10, 10).bfloat16()}, [torch.tensor([[0.0, 0, 9, 9]])])

    assert odds.dtype == torch.float32


def test_box_coder_inverts_its_own_deltas():
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 50, 20]])
    words = torch.tensor([[1.0, 2, 12, 9], [0, 4, 60, 24]])

    torch.testing.assert_close(BOX_CODER.decode_single(BOX_CODER.encode_single(words, boxes), boxes), words)


@pytest.mark.parametrize("levels", [(), ("decoder3",)])
def test_unknown_levels_are_refused_by_name(levels):
    with pytest.raises(ValueError, match=r"name one or several of vgg4"):
        small_head(levels=levels)


def test_fresh_parameters_follow_from_the_seed():
    first, again, other = (
        add_region_path(CRAFT(WIDTH), RegionArchitecture(hidden=8), seed=seed).state_dict() for seed in (1, 1, 2)
    )

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.first.weight"], other["head.first.weight"])


def test_network_without_a_region_path_has_only_the_original_entries(network):
    assert region_path(network) is None
    assert len(network.state_dict()) == 154


@pytest.mark.parametrize("proposal_network", [True, False])
def test_region_path_travels_with_the_weights(network, tmp_path, proposal_network):
    architecture = RegionArchitecture(
        levels=("decoder4", "decoder2"), pool_hw=(2, 5), hidden=6, proposal_network=proposal_network
    )
    add_region_path(network, architecture, seed=3)
    save_safetensors(network, tmp_path / "weights.safetensors", {"region": architecture.as_dict()})

    weights = read_weights(tmp_path / "weights.safetensors")
    loaded = build_model(weights)

    assert region_path(loaded).architecture == architecture
    assert len(weights.state) == 154 + len(network.region.state_dict())
    for name, value in network.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_the_original_format_leaves_the_region_path_out(network, tmp_path):
    add_region_path(network, RegionArchitecture(hidden=6), seed=3)

    save_original(network, tmp_path / "weights.pth")

    assert len(read_weights(tmp_path / "weights.pth").state) == 154
    assert region_path(build_model(read_weights(tmp_path / "weights.pth"))) is None


@pytest.mark.parametrize("metadata", [{}, {"region": {"levels": ["decoder2"]}}])
def test_region_head_without_its_architecture_is_refused(network, tmp_path, metadata):
    add_region_path(network, RegionArchitecture(hidden=6), seed=3)
    save_safetensors(network, tmp_path / "weights.safetensors", metadata)

    with pytest.raises(ValueError, match=r"weights\.safetensors: .*(no description of its architecture|incomplete)"):
        build_model(read_weights(tmp_path / "weights.safetensors"))


@pytest.mark.parametrize(
    "change",
    [{"hidden": 10**6}, {"hidden": 10**18}, {"hidden": 0}, {"hidden": -3}, {"pool_hw": [10**6, 10**6]}, {"levels": 5}],
)
def test_region_head_is_compared_before_it_is_allocated(network, tmp_path, change):
    architecture = RegionArchitecture(hidden=6)
    add_region_path(network, architecture, seed=3)
    save_safetensors(network, tmp_path / "weights.safetensors", {"region": {**architecture.as_dict(), **change}})

    with pytest.raises(
        ValueError, match=r"weights\.safetensors: (does not fit the network|its region path cannot be built)"
    ):
        build_model(read_weights(tmp_path / "weights.safetensors"))
