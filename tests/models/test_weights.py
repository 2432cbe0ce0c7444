"""Weights in files: every format read, written whole, and misfits named."""

import json
import subprocess
import sys
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from craft.config import Config, DetectionSettings, dump_config
from craft.models.craft import CRAFT
from craft.models.weights import (
    Weights,
    build_model,
    load_into,
    read_weights,
    save_original,
    save_safetensors,
)

WIDTH = 0.0625


def small_model(seed: int = 0, width: float = WIDTH) -> CRAFT:
    return CRAFT(width, generator=torch.Generator().manual_seed(seed))


def random_state(seed: int = 0) -> dict[str, Tensor]:
    """The tensors of a small network, no two of them alike, statistics included."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator) if value.is_floating_point() else torch.tensor(7)
        for name, value in small_model().state_dict().items()
    }


def assert_same_state(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_safetensors_give_back_tensors_and_metadata(tmp_path):
    model = small_model().to(memory_format=torch.channels_last)
    metadata = {"width": WIDTH, "step": 300, "detection": {"text_threshold": 0.6}, "note": "größer"}

    save_safetensors(model, tmp_path / "best.safetensors", metadata)
    weights = read_weights(tmp_path / "best.safetensors")

    assert_same_state(weights.state, model.state_dict())
    assert weights.metadata == metadata
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]
    with safe_open(tmp_path / "best.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["craft"])["step"] == 300


def test_weights_are_built_without_importing_the_compiler_of_torch(tmp_path):
    save_safetensors(CRAFT(WIDTH), tmp_path / "a.safetensors", {})
    program = (
        "import sys; from craft.models.weights import build_model, read_weights; "
        f"build_model(read_weights({str(tmp_path / 'a.safetensors')!r})); sys.exit('torch._dynamo' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_safetensors_without_our_metadata_have_none(tmp_path):
    save_file(random_state(), tmp_path / "other.safetensors")

    assert read_weights(str(tmp_path / "other.safetensors")).metadata == {}


def test_the_originals_format_gives_back_tensors_and_the_originals_pixel_rule(tmp_path):
    state = random_state()

    save_original({f"module.{name}": value for name, value in state.items()}, tmp_path / "craft.pth")
    weights = read_weights(tmp_path / "craft.pth")

    assert_same_state(weights.state, state)
    settings = DetectionSettings(**weights.metadata["detection"])
    assert settings.pixel_rule == "corner"
    assert settings.keep_padding
    content = torch.load(tmp_path / "craft.pth", weights_only=True)
    assert isinstance(content, OrderedDict)
    assert list(content) == list(state)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("wrapper", [None, "craft"])
def test_prefixes_and_the_easyocr_trainers_wrapper_are_removed(tmp_path, prefix, wrapper):
    state = random_state()
    prefixed = OrderedDict((prefix + name, value) for name, value in state.items())
    optimizer = torch.optim.Adam(small_model().parameters()).state_dict()
    content = {"iter": 25000, wrapper: prefixed, "optimizer": optimizer, "scaler": {"scale": 65536.0}}
    torch.save(prefixed if wrapper is None else content, tmp_path / "weights.pth")

    weights = read_weights(tmp_path / "weights.pth")

    assert_same_state(weights.state, state)
    assert weights.metadata["detection"]["pixel_rule"] == "corner"
    assert weights.metadata.get("iter") == (None if wrapper is None else 25000)


@pytest.mark.parametrize("averaged", [True, False])
def test_our_checkpoint_gives_its_average_where_there_is_one(tmp_path, averaged):
    settings = Config(detection=DetectionSettings(text_threshold=0.5))
    checkpoint = {
        "model": random_state(1),
        "average": random_state(2) if averaged else {},
        "optimizer": {"state": {}, "param_groups": []},
        "random_state": torch.get_rng_state(),
        "step": 12,
        "best_hmean": 0.25,
        "config": dump_config(settings),
        "version": "0.1.0",
    }
    torch.save(checkpoint, tmp_path / "last.pt")

    weights = read_weights(tmp_path / "last.pt")

    assert_same_state(weights.state, random_state(2 if averaged else 1))
    assert weights.metadata["step"] == 12
    assert DetectionSettings(**weights.metadata["detection"]) == settings.detection


def test_checkpoints_of_a_run_are_read(tmp_path):
    from craft.training.checkpoint import Checkpoint, write_checkpoint

    values: dict[str, object] = dict.fromkeys(Checkpoint.__dataclass_fields__, 0)
    values |= {"model": random_state(1), "average": random_state(2), "optimizer": {}, "config": dump_config(Config())}
    values |= {"random_state": torch.get_rng_state()}
    write_checkpoint(tmp_path / "last.pt", Checkpoint(**values))

    assert_same_state(read_weights(tmp_path / "last.pt").state, random_state(2))


@pytest.mark.parametrize("width", [WIDTH, 0.1, 0.15, 0.25, 0.3, 1 / 3])
def test_a_network_built_from_weights_has_their_width(width):
    model = small_model(width=width)

    built = build_model(Weights(model.state_dict(), {}))

    assert built.width == pytest.approx(width, abs=0.0005)
    assert_same_state(built.state_dict(), model.state_dict())


def test_a_built_network_does_not_share_its_tensors_with_the_weights():
    weights = Weights(random_state(), {})

    model = build_model(weights)
    with torch.no_grad():
        model.conv_cls[8].bias.add_(1)

    assert_same_state(weights.state, random_state())


def test_half_precision_weights_load_as_float32():
    state = {name: value.half() if value.is_floating_point() else value for name, value in random_state().items()}

    model = build_model(Weights(state, {}))

    assert model.conv_cls[8].weight.dtype == torch.float32
    assert torch.equal(model.conv_cls[8].weight, state["conv_cls.8.weight"].float())


def test_files_from_before_batches_were_counted_load():
    state = {name: value for name, value in random_state().items() if "num_batches_tracked" not in name}

    model = build_model(Weights(state, {}))

    assert len(state) == 134
    assert int(model.upconv1.conv[1].num_batches_tracked) == 0


def test_weights_that_fit_partly_load_partly_and_report_it():
    state = random_state()
    del state["conv_cls.8.bias"]
    state["conv_cls.8.weight"] = torch.zeros(3, 1, 1, 1)
    state["region_head.bias"] = torch.zeros(2)
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    report = load_into(model, Weights(state, {}), strict=False)

    assert asdict(report) | {"loaded": len(report.loaded)} == {
        "loaded": 152,
        "missing": ("conv_cls.8.bias",),
        "unexpected": ("region_head.bias",),
        "mismatched": ("conv_cls.8.weight",),
    }
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name] if name in report.loaded else before[name]), name


def test_strict_loading_names_what_does_not_fit_and_copies_nothing():
    state = random_state()
    del state["conv_cls.8.bias"]
    state["conv_cls.8.weight"] = torch.zeros(3, 16, 1, 1)
    state["region_head.bias"] = torch.zeros(2)
    model = small_model()

    with pytest.raises(ValueError) as caught:
        load_into(model, Weights(state, {}, source="some.pth"))

    message = str(caught.value)
    assert message.startswith("some.pth: ")
    for part in ("conv_cls.8.bias", "region_head.bias", "conv_cls.8.weight (3, 16, 1, 1), here (2, 16, 1, 1)"):
        assert part in message
    assert_same_state(model.state_dict(), small_model().state_dict())


def test_weights_of_another_width_fit_nothing_and_long_lists_are_cut():
    with pytest.raises(ValueError, match=r"and \d\d+ more; check model.width"):
        load_into(small_model(width=0.125), Weights(random_state(), {}))


def test_weights_of_another_network_build_nothing():
    with pytest.raises(ValueError, match=r"not the weights of a CRAFT.*last_conv.0.weight"):
        build_model(Weights({"last_conv.0.weight": torch.zeros(64, 34, 3, 3)}, {}))


def test_incomplete_weights_build_nothing():
    state = random_state()
    del state["upconv2.conv.0.weight"]

    with pytest.raises(ValueError, match=r"upconv2\.conv\.0\.weight"):
        build_model(Weights(state, {}))


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "found a Tensor"),
        ([1, 2], "found a list"),
        ({}, "it is empty"),
        ({"epoch": 3, "net": {"weight": torch.zeros(1)}}, "'epoch' is a int"),
        (Harmful(), "holds more than tensors"),
        ({"path": Path("x")}, "holds more than tensors"),
    ],
)
def test_a_file_without_tensors_by_name_is_refused_and_nothing_in_it_runs(tmp_path, capsys, content, message):
    path = tmp_path / "weights.pth"
    torch.save(content, path)

    with pytest.raises(ValueError, match=message) as caught:
        read_weights(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights\n", b"PK\x03\x04 cut short", b"<html>404</html>" * 100])
def test_a_file_that_is_not_weights_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(ValueError) as caught:
        read_weights(path)

    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_file_cut_short_is_refused(tmp_path, name):
    path = tmp_path / name
    save = save_original if name.endswith(".pth") else lambda model, path: save_safetensors(model, path, {})
    save(small_model(), path)
    path.write_bytes(path.read_bytes()[:-1000])

    with pytest.raises(ValueError, match="cannot be read"):
        read_weights(path)


def test_safetensors_with_broken_metadata_are_refused(tmp_path):
    save_file(random_state(), tmp_path / "weights.safetensors", metadata={"craft": "{"})

    with pytest.raises(ValueError, match="not JSON"):
        read_weights(tmp_path / "weights.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_weights(tmp_path / "absent.pth")


def test_a_folder_is_named_with_the_file_to_give(tmp_path):
    with pytest.raises(ValueError, match="is a folder; give the file of weights in it"):
        read_weights(tmp_path)


def test_writing_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "best.safetensors"
    save_safetensors(random_state(1), path, {})
    monkeypatch.setattr("os.fsync", lambda _number: (_ for _ in ()).throw(OSError("disk full")))

    with pytest.raises(OSError, match="disk full"):
        save_safetensors(random_state(2), path, {})

    assert_same_state(read_weights(path).state, random_state(1))


def test_weights_of_an_unknown_backbone_build_nothing():
    with pytest.raises(ValueError, match="backbone 'resnet', which this craft does not have"):
        build_model(Weights(random_state(), {"backbone": "resnet"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "HDF5"),
        (b"\x08\x07\x12\x07pytorch" + bytes(200), "ONNX"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
)
def test_file_given_by_mistake_is_named_for_what_it_is(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=message) as caught:
        read_weights(path)

    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2]", '{"detection": 5}', '{"backbone": [1]}', '{"region": 1}', "[" * 100_000])
def test_metadata_of_any_type_is_refused_by_file(tmp_path, text):
    path = tmp_path / "weights.safetensors"
    save_file(random_state(), path, metadata={"craft": text})

    with pytest.raises(ValueError, match=r"weights\.safetensors: its metadata"):
        read_weights(path)


def test_weights_with_nan_are_refused(tmp_path):
    state = random_state()
    state["conv_cls.0.weight"][0] = float("nan")
    save_safetensors(state, tmp_path / "nan.safetensors", {})

    with pytest.raises(ValueError, match=r"conv_cls\.0\.weight holds NaN"):
        read_weights(tmp_path / "nan.safetensors")


def test_shapes_are_compared_before_a_network_is_allocated():
    state = random_state()
    name = "basenet.slice5.1.weight"
    state[name] = torch.zeros(100_000_000, 0, 3, 3)

    with pytest.raises(ValueError, match=r"does not fit the network|no network has"):
        build_model(Weights(state, {}))
