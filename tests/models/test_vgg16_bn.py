"""The backbone starts from torchvision's weights, or says why it cannot."""

import urllib.error

import pytest
import torch
import torchvision
from torch import Tensor

from craft.models.craft import CRAFT


def imagenet_state() -> dict[str, Tensor]:
    with torch.device("meta"):
        features = torchvision.models.vgg16_bn(weights=None).features
    generator = torch.Generator().manual_seed(5)
    return {
        f"features.{name}": torch.randn(value.shape, generator=generator) if value.ndim else torch.tensor(0)
        for name, value in features.state_dict().items()
    }


def test_the_backbone_loads_torchvisions_layers(monkeypatch):
    pretrained = imagenet_state()
    monkeypatch.setattr(torchvision.models.VGG16_BN_Weights, "get_state_dict", lambda *_, **__: pretrained)
    model = CRAFT(generator=torch.Generator().manual_seed(0))
    decoder = model.basenet.slice5[1].weight.detach().clone()

    model.basenet.load_imagenet()

    assert torch.equal(model.basenet.slice1[0].weight, pretrained["features.0.weight"])
    last = dict(model.named_buffers())["basenet.slice4.38.running_mean"]
    assert torch.equal(last, pretrained["features.38.running_mean"])
    assert torch.equal(model.basenet.slice5[1].weight, decoder)


def test_torchvisions_weights_for_a_small_network_are_refused():
    with pytest.raises(ValueError, match=r"width 1 only, not 0.0625; set model.pretrained to none"):
        CRAFT(0.0625).basenet.load_imagenet()


@pytest.mark.parametrize("error", [urllib.error.URLError("no network"), RuntimeError("invalid hash value")])
def test_torchvisions_weights_that_cannot_be_fetched_say_where_to_put_them(monkeypatch, error):
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(torchvision.models.VGG16_BN_Weights, "get_state_dict", fail)
    with torch.device("meta"):
        model = CRAFT()

    with pytest.raises(ValueError, match=r"vgg16_bn-\w+\.pth could not be fetched .*checkpoints"):
        model.basenet.load_imagenet()
