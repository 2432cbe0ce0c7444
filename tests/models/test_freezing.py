"""Frozen parameters and statistics stay as they are."""

import copy

import pytest
import torch
from torch import nn

from craft.models.freezing import batch_norm_layers, freeze_batch_norm, freeze_parameters, is_folded
from craft.models.weights import build_model, read_weights, save_safetensors
from tests.models.test_craft import random_images, small_model, train_two_steps


def test_frozen_batch_norm_keeps_its_statistics_and_parameters_through_train():
    model = small_model()
    freeze_batch_norm(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    model.eval()
    train_two_steps(model)

    norms = [name for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 20
    for name, value in model.state_dict().items():
        changed = not torch.equal(value, before[name])
        is_norm = name.rpartition(".")[0] in norms
        assert changed != is_norm, name
    assert model.conv_cls.training


def test_frozen_batch_norm_is_folded_into_convolutions_and_skipped():
    model = lively(small_model()).eval()
    plain, images = copy.deepcopy(model), random_images(2, 3, 48, 64)

    freeze_batch_norm(model)

    expected, found = plain(images)[0], model(images)[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert len(called_norms(model, images)) == 0
    assert len(called_norms(plain, images)) == 20
    plain.load_state_dict(model.state_dict())  # whoever does not fold computes the same from what was saved
    torch.testing.assert_close(plain(images)[0], found, atol=1e-6, rtol=1e-6)


def test_folded_weights_are_told_from_fresh_and_trained_ones(tmp_path):
    model = lively(small_model())
    train_two_steps(model)
    assert not is_folded(small_model())
    assert not is_folded(model)

    freeze_batch_norm(model)
    assert is_folded(model)
    save_safetensors(model, tmp_path / "half.safetensors", {"width": model.width})
    back = build_model(read_weights(tmp_path / "half.safetensors")).half().float()
    assert is_folded(back)


def test_folding_twice_changes_nothing():
    model = lively(small_model())
    freeze_batch_norm(model)
    before = copy.deepcopy(model.state_dict())

    freeze_batch_norm(copy.deepcopy(model))
    freeze_batch_norm(model)

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_older_weights_are_folded_when_freezing_again():
    other = lively(small_model()).eval()
    model = small_model()
    freeze_batch_norm(model)

    model.load_state_dict(other.state_dict())
    freeze_batch_norm(model)

    images = random_images(1, 3, 32, 32)
    torch.testing.assert_close(model.eval()(images)[0], other(images)[0], atol=1e-5, rtol=1e-4)


def lively(model):
    """The model with batch norms that change what goes through them."""
    generator = torch.Generator().manual_seed(3)
    for layer in batch_norm_layers(model):
        for value in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return model


def called_norms(model, images):
    """Batch norms computed in a forward pass, counted where torch computes them."""
    calls = []
    original = torch.nn.functional.batch_norm
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "batch_norm", lambda *a, **k: (calls.append(1), original(*a, **k))[1])
        model(images)
    return calls


def test_frozen_parts_compute_the_same_after_training():
    model = small_model()
    images = random_images(1, 3, 32, 32)
    names = freeze_parameters(model, ["basenet.slice1.", "basenet.slice2."])
    with torch.no_grad():
        before = model.eval().basenet.slice2(model.basenet.slice1(images)).clone()

    train_two_steps(model)

    with torch.no_grad():
        after = model.eval().basenet.slice2(model.basenet.slice1(images))
    assert torch.equal(after, before)
    assert len(names) == 24  # six convolutions and six batch norms, weight and bias each
    assert names[0] == "basenet.slice1.0.weight"


def test_freezing_a_convolution_alone_leaves_its_batch_norm_training():
    model = small_model()

    names = freeze_parameters(model, ["basenet.slice1.0."])

    assert names == ["basenet.slice1.0.weight", "basenet.slice1.0.bias"]
    assert model.train().basenet.slice1[1].training


@pytest.mark.parametrize(
    ("prefix", "nearest"), [("basenet.slize1", "basenet.slice1"), ("", ""), ("conv_cls.9", "conv_")]
)
def test_freezing_an_unknown_parameter_is_refused_with_the_nearest_name(prefix, nearest):
    with pytest.raises(ValueError, match=f"nearest start is '{nearest}"):
        freeze_parameters(small_model(), ["upconv1", prefix])


def test_freezing_nothing_freezes_nothing():
    model = small_model()

    assert freeze_parameters(model, []) == []
    assert all(parameter.requires_grad for parameter in model.parameters())
