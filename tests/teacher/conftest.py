"""A teacher's weights, and a label file that it made."""

import pytest

from craft.cli.command import main
from craft.models.weights import save_safetensors
from tests.networks import lively_network


@pytest.fixture(scope="package")
def weights(tmp_path_factory):
    """A narrow network's weights."""
    path = tmp_path_factory.mktemp("weights") / "teacher.safetensors"
    save_safetensors(lively_network(seed=0), path, {"width": 0.0625})
    return path


@pytest.fixture(scope="package")
def labels(tiny_set, weights, tmp_path_factory):
    """A label file of the tiny dataset, written by the command."""
    out = tmp_path_factory.mktemp("labels") / "tiny.jsonl"
    command = ["label", str(tiny_set), "--format", "icdar2017", "--weights", str(weights), "--out", str(out)]
    assert main([*command, "--height", "32", "--device", "cpu"]) == 0
    return out
