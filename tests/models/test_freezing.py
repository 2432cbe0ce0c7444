"""Frozen parameters and statistics stay as they are."""

import pytest
import torch
from torch import nn

from craft.models.freezing import freeze_batch_norm, freeze_parameters
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
