"""The list of settings, the page made of it, and what a configuration comes to."""

from pathlib import Path

import yaml

from craft.cli.command import main
from craft.config import Config, load_config, validate_config
from craft.settings_reference import explain_config, list_settings, settings_page

ROOT = Path(__file__).parent.parent


def test_the_page_of_settings_is_the_one_that_is_generated():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    assert page == settings_page(), "write it again: craft config list --markdown > docs/settings.md"


def test_every_setting_is_listed_with_type_default_and_sentence():
    settings = {item.name: item for item in list_settings()}

    assert settings["ohem.ratio"].type == "number above 0"
    assert settings["ohem.ratio"].default == "3.0"
    assert settings["ohem.ratio"].needs == "ohem.rule: hardest or random"
    assert settings["data.crop_size"].type == "whole number from 64 a multiple of 32"
    assert settings["augment.scale"].type == "[number, number]"
    assert "label-studio" in settings["data.train.0.format"].type
    assert [name for name, item in settings.items() if not item.description and name != "data.validation"] == []


def test_words_are_searched_in_names_and_sentences():
    names = [item.name for item in list_settings("moving average")]

    assert "optimizer.average_decay" in names
    assert "ohem.ratio" not in names


def test_what_is_shown_can_be_read_back_as_the_same_configuration():
    for path in ("quickstart.yaml", "icdar2015.yaml", "region.yaml"):
        config = load_config(ROOT / "configs" / path)

        shown = explain_config(config)

        again = validate_config(yaml.safe_load(shown), where=path)
        assert again == config.model_copy(update={"extends": None})


def test_a_changed_setting_is_shown_with_its_default_and_an_unchanged_one_without(capsys):
    assert main(["config", "show", str(ROOT / "configs/quickstart.yaml"), "--set", "ohem.ratio=5"]) == 0

    lines = capsys.readouterr().out.splitlines()
    ratio = next(index for index, line in enumerate(lines) if line.startswith("  ratio: 5"))
    assert lines[ratio - 1].endswith("Default: 3.0.")
    assert not any("Default" in line for line in explain_config(Config()).splitlines())


def test_a_word_in_no_setting_is_said(capsys):
    assert main(["config", "list", "zebra"]) == 2
    assert "craft config list prints all" in capsys.readouterr().err
