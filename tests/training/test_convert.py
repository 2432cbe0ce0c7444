"""Weights in another form, with what is known about them."""

import json

import pytest
import torch

from craft.cli.command import main
from craft.config import dump_config
from craft.models.craft import CRAFT
from craft.models.weights import read_weights, save_safetensors
from craft.training.convert import convert_weights, provenance_of, without_machine_paths

START = {
    "craft": "0.1.0",
    "commit": "abc1234",
    "command": "craft train configs/small.yaml --set data.train.0.path=/home/me/sets/train --out /tmp/runs/small",
    "torch": "2.6.0",
    "processor": "A processor",
    "threads": 2,
    "gpu": None,
}


@pytest.fixture
def run_folder(tmp_path, tiny_config):
    """A run of 6 steps of 2 crops: 4 steps at 2 crops a second, then 2 at 1."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(dump_config(tiny_config), encoding="utf-8")
    starts = [START, {**START, "commit": "def5678", "command": "craft train --resume"}]
    (folder / "environment.jsonl").write_text("".join(json.dumps(one) + "\n" for one in starts), encoding="utf-8")
    lines = [
        {"kind": "train", "step": 4, "images_per_second": 2.0},
        {"kind": "validation", "step": 4},
        {"kind": "train", "step": 6, "images_per_second": 1.0},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    metadata = {"step": 6, "width": 0.25, "detection": {"text_threshold": 0.5}}
    save_safetensors(CRAFT(0.25), folder / "best.safetensors", metadata)
    return folder


def test_weights_in_8_bits_and_back_keep_names_settings_and_values(run_folder, tmp_path):
    packed = convert_weights(run_folder / "best.safetensors", tmp_path / "small.safetensors", to="int8")
    back = convert_weights(tmp_path / "small.safetensors", tmp_path / "back.safetensors")

    was, now = read_weights(tmp_path / "small.safetensors"), read_weights(tmp_path / "back.safetensors")
    assert (packed.kind, packed.was, back.kind, back.was) == ("int8", "float", "float", "int8")
    assert (was.storage, now.storage) == ("int8", "float")
    assert was.metadata == now.metadata
    assert all(torch.equal(now.state[name], value) for name, value in was.state.items())
    assert now.state.keys() == read_weights(run_folder / "best.safetensors").state.keys()
    assert packed.num_bytes < 0.45 * back.num_bytes


def test_weights_of_a_run_say_how_they_were_trained(run_folder, tmp_path):
    convert_weights(run_folder / "best.safetensors", tmp_path / "small.safetensors", to="int8", note="Drawn from /a/b.")

    provenance = read_weights(tmp_path / "small.safetensors").metadata["provenance"]
    assert provenance["command"] == "craft train configs/small.yaml --set data.train.0.path=train --out small"
    assert provenance["commit"] == "abc1234, def5678"
    assert (provenance["steps"], provenance["crops"], provenance["crop_size"]) == (6, 12, 64)
    assert provenance["training_hours"] == round((8 / 2 + 4 / 1) / 3600, 3)
    assert provenance["data"][0]["format"] == "icdar2017"
    assert "/" not in provenance["data"][0]["path"]
    assert provenance["note"] == "Drawn from b."
    assert provenance["machine"] == "A processor, 2 threads"


def test_provenance_counts_up_to_the_step_of_the_weights(run_folder):
    found = provenance_of(run_folder / "snapshots" / "step_4.safetensors", 4)

    assert (found["steps"], found["crops"], found["training_hours"]) == (4, 8, round(4 / 3600, 3))


def test_weights_outside_a_run_have_no_provenance(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    save_safetensors(CRAFT(0.0625), tmp_path / "a" / "b" / "some.safetensors", {})

    convert_weights(tmp_path / "a" / "b" / "some.safetensors", tmp_path / "out.safetensors")

    assert read_weights(tmp_path / "out.safetensors").metadata == {"width": 0.0625}


def test_provenance_is_passed_on(run_folder, tmp_path):
    convert_weights(run_folder / "best.safetensors", tmp_path / "one.safetensors")
    convert_weights(tmp_path / "one.safetensors", tmp_path / "two.safetensors", note="More.")

    one, two = (read_weights(tmp_path / f"{name}.safetensors").metadata["provenance"] for name in ("one", "two"))
    assert {**one, "note": "More."} == two


def test_given_settings_travel_with_the_weights(run_folder, tmp_path):
    changes = {"text_threshold": 0.6, "sizing": "long_side", "long_side": 2240}

    convert_weights(run_folder / "best.safetensors", tmp_path / "small.safetensors", detection=changes)

    detection = read_weights(tmp_path / "small.safetensors").metadata["detection"]
    assert {name: detection[name] for name in changes} == changes
    with pytest.raises(ValueError, match=r"long_side has no effect with detection.sizing: original"):
        convert_weights(run_folder / "best.safetensors", tmp_path / "b.safetensors", detection={"long_side": 2240})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("small.onnx", {}, r"use .safetensors or .pth"),
        ("small.pth", {"to": "int8"}, r"int8 does not go into a .pth file"),
        ("small.safetensors", {"to": "original"}, r"original does not go into a .safetensors file"),
        ("small.pth", {"note": "From afar."}, r"no place for settings or notes"),
    ],
)
def test_contradicting_options_are_refused(run_folder, tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        convert_weights(run_folder / "best.safetensors", tmp_path / name, **options)

    assert not (tmp_path / name).exists()


def test_weights_with_nan_are_not_stored_in_8_bits(run_folder, tmp_path):
    model = CRAFT(0.0625)
    with torch.no_grad():
        model.conv_cls[0].weight[0, 0, 0, 0] = float("nan")
    save_safetensors(model, run_folder / "last.safetensors", {"width": 0.0625})

    with pytest.raises(ValueError, match=r"conv_cls.0.weight holds NaN"):
        convert_weights(run_folder / "last.safetensors", tmp_path / "small.safetensors", to="int8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("craft train /a/b/c.yaml --out runs/x", "craft train c.yaml --out runs/x"),
        ("data.train=[{path: /a/b/train, format: icdar2017}]", "data.train=[{path: train, format: icdar2017}]"),
        ("weights=/a/best.pt", "weights=best.pt"),
        ("~/sets/train", "train"),
        (r"C:\sets\train", "train"),
        ("configs/small.yaml and 3/4 of it", "configs/small.yaml and 3/4 of it"),
        ("path: /tmp/a\nother: 1", "path: a\nother: 1"),
    ],
)
def test_absolute_paths_are_cut_and_others_stay(text, expected):
    assert without_machine_paths(text) == expected


def test_the_command_converts_and_reports_it(run_folder, tmp_path, capsys):
    out = tmp_path / "small.safetensors"

    status = main(["convert", str(run_folder / "best.safetensors"), str(out), "--to", "int8", "--set", "low_text=0.3"])

    assert status == 0
    assert "154 tensors, int8, " in capsys.readouterr().out
    assert read_weights(out).metadata["detection"]["low_text"] == 0.3
