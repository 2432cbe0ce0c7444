"""The recipes of the weights that ship: each is one configuration, and starts again from stored weights alone."""

from pathlib import Path

import pytest

from craft.config import load_config
from craft.models.shipped import RECIPES, WEIGHTS_FOLDER
from craft.models.weights import read_weights

ROOT = Path(__file__).parent.parent


def recipe(name):
    path = ROOT / RECIPES[name]
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_on_synthetic_scenes_alone(name):
    config = load_config(recipe(name))

    assert config.data.train
    for one in config.data.train:
        assert one.format == "synth" or "synth" in one.path
    assert config.model.pretrained == "none"
    assert config.weights is None


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_chooses_on_scenes_801_to_900_at_most(name):
    config = load_config(recipe(name))

    for one in config.data.validation:
        if "icdar2015" in one.path:
            assert one.numbers is not None
            assert one.numbers[0] >= 801
            assert one.numbers[1] <= 900


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_starts_again_from_its_weights(name):
    overrides = [f"weights={name}", "optimizer.warmup_steps=200", "training.steps=5000"]

    config = load_config(recipe(name), overrides=overrides)

    assert (config.weights, config.optimizer.warmup_steps) == (name, 200)


@pytest.mark.parametrize("name", RECIPES)
def test_weights_that_ship_are_of_their_recipes_width(name):
    if not (WEIGHTS_FOLDER / f"{name}.safetensors").is_file():
        pytest.skip(f"{name} does not ship yet")

    assert read_weights(name).metadata["width"] == load_config(recipe(name)).model.width


def test_the_full_recipes_scenes_are_drawn_and_its_next_stretch_draws_others():
    path = recipe("synth")

    first, second = load_config(path), load_config(path, overrides=["data.train.0.seed=802"])

    assert (first.data.train[0].format, first.data.train[0].preset) == ("synth", "full")
    assert (first.data.train[0].seed, second.data.train[0].seed) == (801, 802)
    assert first.model.width == 1.0
