"""The network: names, shapes, skips, frozen parts, and gradient checkpointing against the plain path."""

import hashlib

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from craft.models.craft import CRAFT
from craft.models.freezing import freeze_batch_norm

# Layer numbers of the convolutions in the authors' backbone; the batch norm of each has the next number.
BACKBONE = {
    "slice1": (0, 3, 7, 10),
    "slice2": (14, 17),
    "slice3": (20, 24, 27),
    "slice4": (30, 34, 37),
}


def small_model(*, seed: int = 0, gradient_checkpointing: bool = False) -> CRAFT:
    generator = torch.Generator().manual_seed(seed)
    return CRAFT(0.125, gradient_checkpointing=gradient_checkpointing, generator=generator)


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_norm_buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.named_buffers()}


def test_has_the_names_of_the_original_in_their_order():
    convolution, norm = ("weight", "bias"), ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = []
    for part, numbers in BACKBONE.items():
        for number in numbers:
            expected += [f"basenet.{part}.{number}.{kind}" for kind in convolution]
            expected += [f"basenet.{part}.{number + 1}.{kind}" for kind in norm]
    expected += [f"basenet.slice5.{number}.{kind}" for number in (1, 2) for kind in convolution]
    for part in ("upconv1", "upconv2", "upconv3", "upconv4"):
        for number in (0, 3):
            expected += [f"{part}.conv.{number}.{kind}" for kind in convolution]
            expected += [f"{part}.conv.{number + 1}.{kind}" for kind in norm]
    expected += [f"conv_cls.{number}.{kind}" for number in (0, 2, 4, 6, 8) for kind in convolution]

    assert list(CRAFT(0.0625).state_dict()) == expected
    assert len(expected) == 154


def test_has_the_shapes_of_the_original():
    with torch.device("meta"):
        model = CRAFT()

    lines = "\n".join(f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items())

    # the same hash over the network of clovaai/CRAFT-pytorch
    digest = "ef938d24ea4ed79a83d2ff63b4b20be1553cbdbacae4d56ba978a5f0b45aa28b"
    assert hashlib.sha256(lines.encode()).hexdigest() == digest
    assert sum(parameter.numel() for parameter in model.parameters()) == 20_770_466


def test_starts_with_biases_0_batch_norms_1_and_xavier_uniform_weights():
    model = CRAFT(0.25, generator=torch.Generator().manual_seed(0))

    weight = model.basenet.slice5[1].weight  # 3 x 3, 128 to 256 channels
    limit = (6 / (9 * (128 + 256))) ** 0.5
    assert float(weight.detach().abs().max()) <= limit
    assert float(weight.detach().std()) == pytest.approx(limit / 3**0.5, rel=0.01)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
    assert bool((model.upconv1.conv[1].weight == 1).all())


@pytest.mark.parametrize("width", [0.0625, 0.25])
def test_maps_start_near_0_and_depend_on_the_image(width):
    for seed in range(4):
        model = CRAFT(width, generator=torch.Generator().manual_seed(seed))

        with torch.inference_mode():
            maps, _ = model(random_images(2, 3, 64, 64, seed=seed))

        assert float(maps.abs().max()) < 0.4
        assert float(maps.std(dim=(2, 3)).min()) > 1e-3


def test_the_same_generator_gives_the_same_network():
    first, again, other = small_model(seed=1), small_model(seed=1), small_model(seed=2)

    assert torch.equal(first.conv_cls[8].weight, again.conv_cls[8].weight)
    assert not torch.equal(first.conv_cls[8].weight, other.conv_cls[8].weight)


@pytest.mark.parametrize("size_hw", [(64, 96), (16, 16), (50, 71), (33, 47), (100, 31)])
def test_maps_have_half_the_size_of_any_image(size_hw):
    model = small_model().eval()

    with torch.inference_mode():
        maps, levels = model(random_images(2, 3, *size_hw))

    half = (size_hw[0] // 2, size_hw[1] // 2)
    assert maps.shape == (2, 2, *half)
    assert levels["decoder2"].shape == (2, 4, *half)  # 32 channels at width 1
    assert bool((levels["decoder2"] >= 0).all())


@pytest.mark.parametrize("width", [0.0625, 0.1, 0.25, 0.3, 1.1])
def test_width_scales_every_channel_count(width):
    with torch.device("meta"):
        model = CRAFT(width)

    assert model.width == width
    assert model.basenet.slice5[2].out_channels == round(1024 * width)
    assert abs(model.basenet.slice1[0].out_channels - 64 * width) <= 0.6
    assert model.conv_cls[8].out_channels == 2


@pytest.mark.parametrize("width", [0, -1, float("inf"), float("nan")])
def test_a_width_that_is_not_a_positive_number_is_refused(width):
    with pytest.raises(ValueError, match="width"):
        CRAFT(width)


def slow_forward(model: CRAFT, images: Tensor) -> Tensor:
    """The network written out layer by layer from the state, as the authors' runs: which skips are rectified shows."""
    state = model.state_dict()

    def convolve(inputs: Tensor, name: str, **options: int) -> Tensor:
        return functional.conv2d(inputs, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    def norm(inputs: Tensor, name: str) -> Tensor:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return functional.batch_norm(inputs, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])

    def block(inputs: Tensor, part: str, number: int, padding: int = 1) -> Tensor:
        return norm(convolve(inputs, f"{part}.{number}", padding=padding), f"{part}.{number + 1}")

    def merge(deeper: Tensor, skip: Tensor, part: str) -> Tensor:
        deeper = functional.interpolate(deeper, size=skip.shape[2:], mode="bilinear", align_corners=False)
        mixed = block(torch.cat([deeper, skip], dim=1), f"{part}.conv", 0, padding=0).relu()
        return block(mixed, f"{part}.conv", 3).relu()

    values, skips = images, []
    for part, numbers in BACKBONE.items():
        for number in numbers:
            if number in (7, 14, 24, 34):  # the first convolution after each pooling
                values = functional.max_pool2d(values, 2)
            values = block(values, f"basenet.{part}", number)
            last_of_backbone = number == 37
            values = values if last_of_backbone else values.relu()
        skips.append(values)
    values = functional.max_pool2d(values, 3, stride=1, padding=1)
    values = convolve(convolve(values, "basenet.slice5.1", padding=6, dilation=6), "basenet.slice5.2")
    for part, skip in zip(("upconv1", "upconv2", "upconv3", "upconv4"), reversed(skips), strict=True):
        values = merge(values, skip, part)
    for number in (0, 2, 4):
        values = convolve(values, f"conv_cls.{number}", padding=1).relu()
    return convolve(convolve(values, "conv_cls.6").relu(), "conv_cls.8")


def test_computes_what_the_layers_written_out_compute():
    model = small_model().eval()
    generator = torch.Generator().manual_seed(3)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):  # else every skip is positive half the time by symmetry alone
            nn.init.normal_(layer.bias, std=0.5, generator=generator)
            nn.init.normal_(layer.running_mean, std=0.5, generator=generator)
    images = random_images(1, 3, 70, 52)

    with torch.inference_mode():
        maps, _ = model(images)
        expected = slow_forward(model, images)

    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6)


def test_channels_last_gives_the_same_maps():
    model = small_model().eval()
    images = random_images(1, 3, 64, 64)

    with torch.inference_mode():
        plain, _ = model(images)
        model.to(memory_format=torch.channels_last)
        last, _ = model(images.contiguous(memory_format=torch.channels_last))

    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-5)


def train_two_steps(model: CRAFT) -> tuple[dict[str, Tensor], list[Tensor]]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for step in range(2):
        maps, levels = model.train()(random_images(2, 3, 40, 56, seed=step))
        loss = maps.square().mean() + levels["decoder2"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return gradients, losses


@pytest.mark.parametrize("frozen", [False, True])
def test_gradient_checkpointing_changes_no_bit_of_gradients_and_statistics(frozen):
    plain, saving = small_model(), small_model(gradient_checkpointing=True)
    if frozen:
        freeze_batch_norm(plain)
        freeze_batch_norm(saving)

    plain_gradients, plain_losses = train_two_steps(plain)
    gradients, losses = train_two_steps(saving)

    assert all(torch.equal(*pair) for pair in zip(losses, plain_losses, strict=True))
    assert gradients.keys() == plain_gradients.keys()
    assert all(torch.equal(gradients[name], plain_gradients[name]) for name in gradients)
    for name, value in plain.state_dict().items():
        assert torch.equal(saving.state_dict()[name], value), name
    tracked = int(saving.upconv1.conv[1].num_batches_tracked)
    assert tracked == (0 if frozen else 2)


def test_gradient_checkpointing_changes_no_bit_under_bfloat16_autocast():
    gradients = []
    for gradient_checkpointing in (False, True):
        model = small_model(gradient_checkpointing=gradient_checkpointing).train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            maps, _ = model(random_images(2, 3, 32, 48))
        maps.float().square().mean().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])

    assert maps.dtype == torch.bfloat16
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_gradient_checkpointing_keeps_fewer_activations():
    def kept_bytes(model: CRAFT) -> int:
        kept = []
        own = {parameter.data_ptr() for parameter in model.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(lambda value: kept.append(value) or value, lambda value: value):
            maps, _ = model.train()(random_images(2, 3, 64, 64))
        del maps
        storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in kept}
        return sum(size for pointer, size in storages.items() if pointer not in own)

    assert kept_bytes(small_model(gradient_checkpointing=True)) < 0.35 * kept_bytes(small_model())


def test_statistics_are_the_networks_own_after_recomputation_has_failed():
    model = small_model(gradient_checkpointing=True).train()
    maps, _ = model(random_images(2, 3, 32, 32))
    before = dict(model.named_buffers())
    values = batch_norm_buffers(model)

    def fail(*_arguments: object) -> None:
        raise ArithmeticError("stop here")

    model.basenet.slice2[5].register_forward_hook(fail)  # runs when the activations are computed again
    with pytest.raises(ArithmeticError):
        maps.sum().backward()

    for name, value in model.named_buffers():
        assert value is before[name], name
        assert torch.equal(value, values[name]), name
