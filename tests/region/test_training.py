"""Runs with the region path: what they log and write, how they resume, and that nothing changes without it."""

import numpy as np
import pytest
import torch
import yaml

from craft.config import validate_config
from craft.detection.detector import Detector
from craft.models.region_head import region_path
from craft.models.weights import build_model, read_weights
from craft.region import training
from craft.training.loop import train
from craft.training.run_log import read_metrics

SMALL = {
    "enabled": True,
    "rois_per_image": 8,
    "pool": [2, 2],
    "hidden": 8,
    "proposals": {"network": 30, "components": 20, "truth": 20, "grid": 40},
}


def config_of(values, **region):
    return validate_config({**values, "region": {**SMALL, **region}}, where="test")


def last_state(folder):
    return torch.load(str(folder / "last.pt"), weights_only=True)


def assert_same_tensors(first, second):
    assert set(first) == set(second)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_run_logs_draws_and_saves_the_region_path(tiny_values, tmp_path):
    tiny_values["training"].update(steps=3, pictures_every=2)
    tiny_values["data"]["validation"] = [dict(tiny_values["data"]["train"][0], numbers=[1, 2])]

    train(config_of(tiny_values), tmp_path)

    last = read_metrics(tmp_path / "metrics.jsonl", kind="train")[-1]
    assert last["region_loss_head"] > 0
    assert last["region_loss_proposals"] > 0
    assert 0 < last["region_mined"] <= 8 < last["region_rois"]
    assert 0 <= last["region_mined_foreground"] <= 1
    assert last["region_mined_loss"] >= last["region_all_loss"]
    assert last["region_read_only_seconds"] > 0
    assert last["region_differentiated_seconds"] > 0
    assert last["peak_memory_mebibytes"] > 0
    recalls = {name for name in last if name.startswith("region_recall_")}
    assert len(recalls) == 8
    assert [path.name for path in (tmp_path / "rois").iterdir()] == ["step_000002.jpg"]
    weights = read_weights(tmp_path / "best.safetensors")
    path = region_path(build_model(weights))
    assert path.architecture.pool_hw == (2, 2)
    checkpoint = read_weights(tmp_path / "last.pt")
    assert region_path(build_model(checkpoint)).architecture == path.architecture
    Detector.from_weights(tmp_path / "best.safetensors", device="cpu").detect(np.zeros((40, 40, 3), np.uint8))


@pytest.mark.parametrize("sampler", ["heuristic", "all", "ohem", "ohem-zeroed"])
def test_every_sampler_moves_every_parameter_of_the_head(tiny_values, tmp_path, sampler):
    # That mining lowers a loss cannot be asked of a few steps: the RoIs it looks at get harder as the head learns.
    for steps in (1, 4):
        tiny_values["training"]["steps"] = steps
        train(config_of(tiny_values, sampler=sampler, weight=1.0), tmp_path / str(steps))

    early, late = (last_state(tmp_path / str(steps))["model"] for steps in (1, 4))
    head = [name for name in early if name.startswith("region.head.")]
    assert head
    for name in head:
        assert torch.isfinite(late[name]).all(), name
        assert not torch.equal(early[name], late[name]), name


def test_two_passes_and_the_zeroed_pass_train_alike(tiny_values, tmp_path):
    tiny_values["training"]["steps"] = 2
    for sampler in ("ohem", "ohem-zeroed"):
        train(config_of(tiny_values, sampler=sampler), tmp_path / sampler)

    first, second = (last_state(tmp_path / sampler)["model"] for sampler in ("ohem", "ohem-zeroed"))
    for name, value in first.items():
        # Adam's first steps are the sign of the gradient, so that rounding shows where a gradient is next to nothing.
        torch.testing.assert_close(value, second[name], atol=5e-3, rtol=0, msg=name)


def test_train_alone_leaves_the_maps_unchanged(tiny_values, tmp_path):
    tiny_values["training"]["steps"] = 1
    train(validate_config(tiny_values, where="test"), tmp_path / "maps")
    tiny_values["weights"] = str(tmp_path / "maps" / "best.safetensors")
    tiny_values["training"]["steps"] = 3

    train(config_of(tiny_values, train="alone"), tmp_path / "alone")

    before = read_weights(tiny_values["weights"]).state
    after = read_weights(tmp_path / "alone" / "last.safetensors").state
    assert_same_tensors(before, {name: value for name, value in after.items() if not name.startswith("region.")})
    fresh = [name for name in after if name.startswith("region.")]
    assert fresh
    lines = read_metrics(tmp_path / "alone" / "metrics.jsonl", kind="train")
    assert lines[0]["region_loss_head"] != lines[-1]["region_loss_head"]


@pytest.mark.slow
@pytest.mark.parametrize("region", [{"sampler": "ohem"}, {"sampler": "bootstrap", "train": "alone"}])
def test_a_resumed_run_equals_the_uninterrupted_one(tiny_values, tmp_path, region):
    if region["sampler"] == "bootstrap":
        region = {**region, "bootstrap_every": 2, "bootstrap_crops": 4}
    config = config_of(tiny_values, **region)  # six steps, saved every two
    train(config, tmp_path / "uninterrupted")
    short = tmp_path / "stopped"
    tiny_values["training"]["steps"] = 4
    tiny_values["optimizer"]["decay"] = "constant"
    constant = config_of({**tiny_values, "training": {**tiny_values["training"], "steps": 6}}, **region)
    train(constant, tmp_path / "constant")
    train(config_of(tiny_values, **region), short)
    written = yaml.safe_load((short / "config.yaml").read_text())
    written["training"]["steps"] = 6
    (short / "config.yaml").write_text(yaml.safe_dump(written))

    train(constant, short, resume=True)

    assert_same_tensors(last_state(tmp_path / "constant")["model"], last_state(short)["model"])


def test_bootstrap_collects_false_positives_and_logs_their_number_and_time(tiny_values, tmp_path):
    tiny_values["training"]["steps"] = 5

    train(config_of(tiny_values, sampler="bootstrap", train="alone", bootstrap_every=2, bootstrap_crops=6), tmp_path)

    collections = read_metrics(tmp_path / "metrics.jsonl", kind="bootstrap")
    assert [line["step"] for line in collections] == [2, 4]
    assert all(line["crops"] >= 6 and line["seconds"] > 0 for line in collections)
    assert collections[0]["false_positives"] + collections[1]["false_positives"] == collections[1]["kept"]
    assert len(list((tmp_path / "bootstrap").iterdir())) == 2


def test_each_collection_looks_at_crops_that_no_earlier_one_saw(tiny_values, tmp_path, monkeypatch):
    starts, build = [], training.build_loader

    def record(datasets, **names):
        starts.append(names["start_position"])
        return build(datasets, **names)

    monkeypatch.setattr(training, "build_loader", record)
    tiny_values["training"]["steps"] = 7  # two crops each

    train(config_of(tiny_values, sampler="bootstrap", train="alone", bootstrap_every=2, bootstrap_crops=5), tmp_path)

    assert starts == [0, 6, 12]  # six crops are three batches


@pytest.mark.parametrize("source", ["network", "components", "truth", "grid"])
def test_each_source_of_proposals_works_alone(tiny_values, tmp_path, source):
    tiny_values["training"]["steps"] = 1
    proposals = {name: 30 if name == source else 0 for name in ("network", "components", "truth", "grid")}

    train(config_of(tiny_values, proposals=proposals), tmp_path)

    (line,) = read_metrics(tmp_path / "metrics.jsonl", kind="train")
    assert all(not line[f"region_recall_{name}_50"] for name in proposals if name != source)
    if source == "truth" and line["region_recall_truth_50"] is not None:
        assert line["region_recall_truth_70"] == 1
    names = read_weights(tmp_path / "last.safetensors").state
    assert any(name.startswith("region.proposals.") for name in names) == (source == "network")


def test_a_run_without_the_region_path_leaves_no_trace_of_it(tiny_config, tmp_path):
    train(tiny_config, tmp_path)

    assert "region" not in yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert "region_" not in (tmp_path / "metrics.jsonl").read_text()
    assert len(last_state(tmp_path)["model"]) == 154


def test_maps_train_the_same_where_the_region_path_weighs_next_to_nothing(tiny_values, tmp_path):
    tiny_values["training"]["steps"] = 1
    train(validate_config(tiny_values, where="test"), tmp_path / "without")
    train(config_of(tiny_values, weight=1e-30), tmp_path / "with")

    without, joined = (
        read_metrics(tmp_path / name / "metrics.jsonl", kind="train")[0]["loss"] for name in ("without", "with")
    )
    assert without == joined


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ({"sampler": "bootstrap"}, "set train: alone"),
        ({"proposals": {"network": 0, "components": 0, "truth": 0, "grid": 0}}, "switch at least one on"),
        ({"pool": [0, 7]}, "at least 1 each"),
        ({"levels": []}, "region.levels"),
        ({"smapler": "ohem"}, r"did you mean 'region\.sampler'"),
    ],
)
def test_refuses_settings_that_contradict_each_other(tiny_values, region, message):
    with pytest.raises(ValueError, match=message):
        config_of(tiny_values, **region)


@pytest.mark.parametrize("given", [{"region": {"sampler": "all"}}, {"detection": {"region_threshold": 0.1}}])
def test_refuses_region_settings_without_the_region_path(tiny_values, given):
    with pytest.raises(ValueError, match=r"has no effect with region\.enabled: False"):
        validate_config({**tiny_values, **given}, where="test", given=given)
