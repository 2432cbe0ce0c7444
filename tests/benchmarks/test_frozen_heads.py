"""Region heads trained side by side on the frozen features of one network."""

import json

import pytest
import torch

from benchmarks.studies.frozen_heads import HeadVariant, train_heads
from craft.config import validate_config
from craft.distributed.processes import start_processes
from craft.models.region_head import region_path
from craft.models.weights import build_model, read_weights
from craft.training.loop import train


def log_lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def heads_config(tiny_values, tmp_path, **region):
    tiny_values["training"]["steps"] = 1
    train(validate_config(tiny_values, where="test"), tmp_path / "maps")
    tiny_values["training"].update(steps=4, log_every=2)
    small = {"pool": [2, 2], "hidden": 8, "proposals": {"network": 30, "components": 20, "truth": 20, "grid": 40}}
    region = {"enabled": True, "train": "alone", **small, **region}
    weights = str(tmp_path / "maps" / "last.safetensors")
    return validate_config({**tiny_values, "weights": weights, "region": region}, where="test")


VARIANTS = [
    HeadVariant("heuristic", "heuristic", rois_per_image=8),
    HeadVariant("ohem", "ohem", rois_per_image=8),
    HeadVariant("ohem-1", "ohem", rois_per_image=8, images=1, rank_by="text"),
    HeadVariant("all-fast", "all", rate_factor=3.0),
    HeadVariant("bootstrap", "bootstrap", rois_per_image=8, collect_every=2, collect_crops=4),
]


def test_heads_differ_in_nothing_but_how_they_are_trained(tiny_values, tmp_path):
    config = heads_config(tiny_values, tmp_path)

    files = train_heads(config, VARIANTS, tmp_path / "heads", start_processes("cpu"))

    assert list(files) == [variant.name for variant in VARIANTS]
    states = {name: read_weights(file).state for name, file in files.items()}
    maps = read_weights(config.weights).state
    first = states["heuristic"]
    for name, state in states.items():
        assert region_path(build_model(read_weights(files[name]))) is not None
        for key, value in state.items():
            same_everywhere = not key.startswith("region.head.")
            if key in maps:
                assert torch.equal(value, maps[key]), key
            if name != "heuristic" and key == "region.head.first.weight":
                assert not torch.equal(value, first[key]), (name, key)
            if same_everywhere:
                assert torch.equal(value, first[key]), key
    lines = log_lines(tmp_path / "heads")
    assert {line["variant"] for line in lines if line["kind"] == "train"} == set(files)
    (collected,) = [line for line in lines if line["kind"] == "bootstrap"]
    assert (collected["variant"], collected["step"], collected["crops"]) == ("bootstrap", 2, 4)


def test_a_head_trains_the_same_beside_others_and_is_not_trained_again(tiny_values, tmp_path):
    config = heads_config(tiny_values, tmp_path)
    among = train_heads(config, VARIANTS[:3], tmp_path / "among", start_processes("cpu"))
    alone = train_heads(config, VARIANTS[1:2], tmp_path / "alone", start_processes("cpu"))

    first, second = read_weights(among["ohem"]).state, read_weights(alone["ohem"]).state
    for name, value in first.items():
        assert torch.equal(value, second[name]), name

    written, lines = alone["ohem"].stat().st_mtime_ns, log_lines(tmp_path / "alone")
    (tmp_path / "alone" / "metrics.jsonl").open("a").write('{"kind": "train", "step": 2, "variant": "heuristic"}\n')
    both = train_heads(config, VARIANTS[:2], tmp_path / "alone", start_processes("cpu"))
    assert alone["ohem"].stat().st_mtime_ns == written
    assert torch.equal(
        read_weights(both["heuristic"]).state["region.head.first.weight"],
        read_weights(among["heuristic"]).state["region.head.first.weight"],
    )
    assert log_lines(tmp_path / "alone")[: len(lines)] == lines
    assert [(line["variant"], line["step"]) for line in log_lines(tmp_path / "alone")[len(lines) :]] == [
        ("heuristic", 2),
        ("heuristic", 4),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": None}, "give weights, region.enabled and train: alone"),
        ({"training": {"batch_size": 3}}, "ohem takes 2 crops a step, which does not divide a batch of 3"),
    ],
)
def test_refuses_settings_that_heads_cannot_be_trained_with(tiny_values, tmp_path, change, message):
    values = {**tiny_values, "weights": "maps.safetensors", "region": {"enabled": True, "train": "alone"}, **change}

    with pytest.raises(ValueError, match=message):
        train_heads(validate_config(values, where="test"), VARIANTS[1:2], tmp_path, start_processes("cpu"))
