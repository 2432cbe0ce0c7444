"""The recipes of real sets hold what the paper says, and say how to make what they need."""

from pathlib import Path

import pytest

from craft.config import load_config
from craft.models import shipped
from craft.models.weights import read_weights
from craft.studies.study import load_study

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.mark.parametrize(("name", "long_side"), [("icdar2015", 2240), ("icdar2017", 2560)])
def test_recipes_of_real_sets_are_the_papers(name, long_side):
    config = load_config(CONFIGS / f"{name}.yaml")

    real, synthetic = config.data.train
    assert (real.format, real.weight, synthetic.format, synthetic.weight) == (name, 5, "synth", 1)
    assert synthetic.seed != load_config(CONFIGS / "synth.yaml").data.train[0].seed  # not the scenes of pretraining
    assert config.data.characters.source == "teacher"
    assert (config.data.characters.refresh, config.data.characters.delay) == (1000, 100)
    assert (config.ohem.rule, config.ohem.ratio, config.training.steps) == ("hardest", 3, 25_000)
    assert (config.detection.sizing, config.detection.long_side) == ("long_side", long_side)


def test_recipe_without_its_weights_says_how_to_make_them(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "WEIGHTS_FOLDER", tmp_path)
    config = load_config(CONFIGS / "icdar2015.yaml")

    assert config.weights is not None
    with pytest.raises(ValueError, match=r"synth: .*do not ship.*craft train configs/synth\.yaml"):
        read_weights(config.weights)


def test_recipe_starts_from_imagenet_where_that_is_asked_for():
    config = load_config(CONFIGS / "icdar2017.yaml", overrides=["weights=null", "model.pretrained=imagenet"])

    assert (config.weights, config.model.pretrained) == (None, "imagenet")


def test_study_of_full_width_varies_the_rule_on_real_scenes_alone():
    study = load_study(CONFIGS / "compare_vgg16.yaml")

    base = load_config(study.base)
    assert (base.weights, base.model.pretrained, base.data.characters.source) == (None, "imagenet", "even")
    assert [one.format for one in study.train] == ["icdar2015"]


def test_study_of_the_teacher_varies_characters_alone():
    study = load_study(CONFIGS / "compare_teacher.yaml")

    assert study.variants["even"] == {}
    for splitter in ("length", "cuts"):
        assert study.variants[splitter].keys() == {"data"}
        assert study.variants[splitter]["data"].keys() == {"characters"}
        assert study.variants[splitter]["data"]["characters"]["splitter"] == splitter


@pytest.mark.parametrize(
    ("name", "source", "shares"),
    [
        ("small_icdar2015", "even", {"icdar2015": 1}),
        ("small_icdar2015_teacher", "teacher", {"icdar2015": 5, "synth": 1}),
    ],
)
def test_small_network_goes_on_to_real_scenes_from_the_weights_that_ship(name, source, shares):
    config = load_config(CONFIGS / f"{name}.yaml")

    assert {one.format: one.weight for one in config.data.train} == shares
    assert config.data.train[0].numbers == (1, 800)
    assert (config.weights, config.data.characters.source) == ("small-synth", source)
    assert config.model.width == read_weights("small-synth").metadata["width"]
    assert config.data.validation == ()  # thresholds are chosen afterwards


def test_the_last_stage_of_small_synth_shows_photographs_but_no_label():
    config = load_config(CONFIGS / "small-synth_photographs.yaml")

    assert config.model.width == read_weights("small-synth").metadata["width"]
    assert not any("icdar" in dataset.path for dataset in config.data.train)
    shipped_settings = read_weights("small-synth").metadata["detection"]
    assert (
        config.detection.model_dump(mode="json") | {"calibration": shipped_settings["calibration"]} == shipped_settings
    )
