"""Training that starts from weights whose batch norm is folded."""

import torch

from craft.config import validate_config
from craft.distributed.processes import Processes
from craft.models.freezing import batch_norm_layers, freeze_batch_norm
from craft.models.weights import save_safetensors
from craft.training.state import build_state
from tests.models.test_craft import random_images
from tests.models.test_freezing import lively
from tests.networks import lively_network


def test_folded_weights_compute_the_same_in_training(tiny_values, tmp_path):
    model = lively(lively_network(seed=1))
    model.conv_cls[0].bias.data.fill_(0.1)
    freeze_batch_norm(model)
    images = random_images(2, 3, 64, 64)
    expected = model.eval()(images)[0]
    save_safetensors(model, tmp_path / "folded.safetensors", {"width": model.width})
    said = []

    config = validate_config({**tiny_values, "weights": str(tmp_path / "folded.safetensors")}, where="test")
    state = build_state(config, Processes(0, 1, torch.device("cpu")), echo=said.append)

    assert any("frozen batch norm, which stays frozen" in line for line in said)
    assert not any(norm.weight.requires_grad for norm in batch_norm_layers(state.model))
    torch.testing.assert_close(state.model.train()(images)[0], expected, atol=1e-5, rtol=1e-4)
