"""One way to run a network: normalised images, its mode restored."""

import numpy as np
import pytest
import torch

from craft.models.craft import CRAFT
from craft.models.freezing import freeze_batch_norm
from craft.models.inference import evaluation_mode, normalise_images, run_network, score_pixels


def test_normalising_takes_the_mean_and_divides_by_the_deviation_of_imagenet():
    images = torch.tensor([255, 0, 128], dtype=torch.uint8).reshape(1, 3, 1, 1).expand(2, 3, 4, 5)

    normalised = normalise_images(images.contiguous(memory_format=torch.channels_last))

    expected = torch.tensor([(1 - 0.485) / 0.229, -0.456 / 0.224, (128 / 255 - 0.406) / 0.225])
    torch.testing.assert_close(normalised[1, :, 2, 3], expected)
    assert normalised.dtype == torch.float32
    assert normalised.is_contiguous(memory_format=torch.channels_last)


def test_normalising_inside_inference_mode_first_does_not_spoil_training_later():
    from craft.models import inference as module

    module._channel_statistics.cache_clear()
    with torch.inference_mode():
        normalise_images(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))

    scale = torch.ones((), requires_grad=True)
    (normalise_images(torch.zeros(1, 3, 2, 2, dtype=torch.uint8)) * scale).sum().backward()

    assert scale.grad is not None


def test_running_a_network_equals_calling_it_on_normalised_images():
    model = CRAFT(0.0625, generator=torch.Generator().manual_seed(0)).eval()
    images = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        maps, levels = run_network(model, images, precision=torch.float32)
        expected, _ = model(normalise_images(images).contiguous(memory_format=torch.channels_last))
        half, _ = run_network(model, images, precision=torch.bfloat16)

    assert torch.equal(maps, expected)
    assert set(levels) == set(model.level_channels)
    assert half.dtype == torch.bfloat16


def test_evaluation_mode_ends_with_every_module_in_its_own_mode():
    model = CRAFT(0.0625)
    freeze_batch_norm(model)
    before = [module.training for module in model.modules()]

    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()

    assert [module.training for module in model.modules()] == before
    assert any(before)
    assert not all(before)
    assert torch.is_grad_enabled()


def test_a_network_of_which_one_module_is_in_training_mode_is_refused():
    model = CRAFT(0.0625, generator=torch.Generator().manual_seed(0)).eval()
    next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)).train()

    with pytest.raises(ValueError, match="is in training mode; call model"):
        score_pixels(
            model, np.zeros((1, 32, 32, 3), np.uint8), device=torch.device("cpu"), precision=torch.float32, levels=()
        )
