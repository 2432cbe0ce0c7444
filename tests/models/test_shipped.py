"""Weights by name: which ship, which come in packages of others, and what is said of those that are not there."""

from pathlib import Path

import pytest
import torch

from craft.models import shipped
from craft.models.craft import CRAFT
from craft.models.shipped import DEFAULT_WEIGHTS, RECIPES, find_weights, shipped_names
from craft.models.weights import read_weights, save_safetensors


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package that ships `small` alone."""
    monkeypatch.setattr(shipped, "WEIGHTS_FOLDER", tmp_path)
    save_safetensors(CRAFT(0.0625), tmp_path / "small.safetensors", {"width": 0.0625}, storage="int8")
    return tmp_path


def test_a_name_is_a_file_in_the_package(folder):
    assert find_weights("small") == folder / "small.safetensors"
    assert shipped_names() == ["small"]
    assert read_weights("small").metadata["width"] == 0.0625


def test_a_path_stays_as_it_is(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(CRAFT(0.125).state_dict(), tmp_path / "small")

    assert find_weights("./small.pth") == Path("small.pth")
    assert find_weights(tmp_path / "small") == tmp_path / "small"
    assert read_weights("./small").state["upconv4.conv.0.bias"].shape == (8,)


def test_a_known_name_that_does_not_ship_says_how_to_train_it(folder):
    with pytest.raises(ValueError, match=r"synth: .*do not ship.*what ships: small.*craft train configs/synth.yaml"):
        read_weights("synth")


def test_an_unknown_name_says_what_ships(folder):
    with pytest.raises(ValueError, match=r"large: no such file.* \(what ships: small; with an extra: mlt\)"):
        read_weights("large")


def test_the_absence_of_shipped_weights_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS_FOLDER", tmp_path / "none")

    with pytest.raises(ValueError, match="none ship"):
        find_weights("small")


def test_every_name_has_its_recipe():
    assert DEFAULT_WEIGHTS in RECIPES
    assert all(path == f"configs/{name}.yaml" for name, path in RECIPES.items())
