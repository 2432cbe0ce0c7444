"""Presets refuse what they do not know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from craft.config import DatasetSettings
from craft.datasets.reading import read_dataset
from craft.synth.presets import preset


def test_settings_refuse_unknown_kinds_and_empty_weights():
    with pytest.raises(ValueError, match="unknown brick; known are bricks"):
        preset("full", {"negatives": {"brick": 1.0}})
    with pytest.raises(ValueError, match="one of them above 0"):
        preset("full", {"scripts": {"Latin": 0.0}})
    with pytest.raises(ValueError, match="multiples of 8"):
        preset("full", {"size_hw": (100, 101)})


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="unknown preset 'quick'; use quickstart"):
        preset("quick")


def test_the_sample_has_the_settings_of_its_preset():
    sample = Path(__file__).parents[2] / "data" / "sample"

    reading = read_dataset(DatasetSettings(path=str(sample)))
    exact = read_dataset(DatasetSettings(path=str(sample / "scenes.jsonl")))

    assert not reading.problems
    assert not exact.problems
    assert len(reading.scenes) == len(exact.scenes) == 24
    assert sum(path.stat().st_size for path in sample.rglob("*.*")) < 3_000_000
    assert json.loads((sample / "generator.json").read_text("utf-8"))["settings"] == preset("sample").model_dump(
        mode="json"
    )
