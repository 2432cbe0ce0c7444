"""Runs on scenes that are drawn while they are used: alone, beside files, validated on them, resumed, and shown."""

import pytest
import torch

from craft.cli.command import main
from craft.config import validate_config
from craft.training.checkpoint import read_checkpoint
from craft.training.loop import train
from craft.training.run_log import read_metrics

DRAWN = {
    "format": "synth",
    "preset": "quickstart",
    "seed": 801,
    "count": 1_000_000,
    "settings": {"size": 128, "words": [1, 3]},
}


def run(values, folder, *, resume=False, **training):
    values = values | {"training": values["training"] | training}
    return train(validate_config(values, where="test"), folder, resume=resume)


def weights_of(folder):
    checkpoint = read_checkpoint(folder / "last.pt", device=torch.device("cpu"))
    return {**checkpoint.model, **{f"average.{name}": value for name, value in checkpoint.average.items()}}


def test_a_run_on_synthetic_scenes_is_validated_on_synthetic_scenes(tiny_values, tmp_path):
    tiny_values["data"] |= {"train": [DRAWN], "validation": [DRAWN | {"seed": 802, "count": 3}]}

    run(tiny_values, tmp_path / "run", steps=2, validate_every=2)

    (validated,) = read_metrics(tmp_path / "run" / "metrics.jsonl", kind="validation")
    assert validated["scenes"] == 3
    last = read_metrics(tmp_path / "run" / "metrics.jsonl", kind="batch")[-1]
    assert last["scenes"] == ["img_3", "img_4"]


def test_a_resumed_run_on_synthetic_scenes_equals_the_uninterrupted_one(tiny_values, tmp_path, monkeypatch):
    tiny_values["data"] |= {"train": [DRAWN]}
    run(tiny_values, tmp_path / "whole", steps=4, save_every=2)
    step = torch.optim.AdamW.step
    done = []

    def fourth_fails(*arguments, **names):
        done.append(1)
        if len(done) == 4:
            raise KeyboardInterrupt
        return step(*arguments, **names)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", fourth_fails)
        with pytest.raises(KeyboardInterrupt):
            run(tiny_values, tmp_path / "stopped", steps=4, save_every=2)

    run(tiny_values, tmp_path / "stopped", steps=4, save_every=2, resume=True)

    whole, resumed = weights_of(tmp_path / "whole"), weights_of(tmp_path / "stopped")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_teacher_labels_files_and_leaves_synthetic_scenes_alone(tiny_values, tmp_path):
    characters = {"source": "teacher", "refresh": 2, "delay": 1, "height": 32}
    tiny_values["data"] |= {"train": [*tiny_values["data"]["train"], DRAWN], "characters": characters}

    run(tiny_values, tmp_path / "run", steps=5)

    labels = read_metrics(tmp_path / "run" / "metrics.jsonl", kind="labels")
    assert labels
    assert all(line["words"] > 0 for line in labels)


def test_synthetic_validation_needs_a_count(tiny_values, tmp_path):
    tiny_values["data"] |= {"validation": [{key: value for key, value in DRAWN.items() if key != "count"}]}

    with pytest.raises(ValueError, match=r"data\.validation: synth \(quickstart, seed 801\) needs a count"):
        run(tiny_values, tmp_path / "run")


def test_a_label_file_for_synthetic_scenes_is_refused(tiny_values, tmp_path):
    characters = {"source": "file", "files": ["labels.jsonl"]}
    tiny_values["data"] |= {"train": [DRAWN], "characters": characters}

    with pytest.raises(
        ValueError, match=r"labels\.jsonl: synth \(quickstart, seed 801\) has exact characters; give null"
    ):
        run(tiny_values, tmp_path / "run")


def test_show_and_check_render_a_preset(tmp_path, capsys):
    small = ["--preset", "quickstart", "--count", "2", "--seed", "3", "--set", "size=128"]

    assert main(["show", *small, "--out", str(tmp_path / "whole")]) == 0
    assert main(["show", *small, "--out", str(tmp_path / "crops"), "--augmented"]) == 0
    assert main(["check", *small]) == 0

    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["img_1.jpg", "img_2.jpg"]
    assert sorted(path.name for path in (tmp_path / "crops").iterdir()) == ["0000_img_1.jpg", "0001_img_2.jpg"]
    assert "synth (quickstart, seed 3) (synth)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "give either the folder of a dataset, or --preset"),
        (["check", "folder", "--preset", "full"], "give either the folder of a dataset, or --preset"),
        (["check", "folder", "--set", "size=128"], "add --preset, or leave --set out"),
        (["check", "--preset", "quickstart", "--set", "sise=128"], "unknown setting 'sise'; did you mean 'size'"),
    ],
)
def test_commands_with_too_few_or_too_many_arguments_are_refused(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
