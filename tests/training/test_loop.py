"""What a run leaves behind, and what it refuses."""

import json
import shutil

import pytest
import torch

from craft.config import validate_config
from craft.models.freezing import freeze_batch_norm
from craft.models.weights import build_model, read_weights
from craft.training import run
from craft.training.loop import train
from craft.training.run_folder import read_run_config
from craft.training.run_log import read_metrics


def with_validation(values, steps=3):
    values["data"]["validation"] = [dict(values["data"]["train"][0], numbers=[1, 2])]
    values["training"].update(steps=steps, pictures_every=2)
    return validate_config(values, where="test")


def test_run_folder_holds_settings_environment_metrics_images_weights_and_scores(tiny_values, tmp_path):
    config = with_validation(tiny_values)

    outcome = train(config, tmp_path)

    assert outcome.finished
    assert outcome.step == 3
    assert read_run_config(tmp_path) == config
    environment = json.loads((tmp_path / "environment.jsonl").read_text())
    assert environment["device"] == "cpu"
    lines = read_metrics(tmp_path / "metrics.jsonl", kind="train")
    assert [line["step"] for line in lines] == [1, 2, 3]
    expected = {"loss", "loss_region", "loss_affinity", "learning_rate", "images_per_second", "data_wait"}
    expected |= {f"kept_{sign}_{name}" for sign in ("positives", "negatives") for name in ("region", "affinity")}
    assert expected <= set(lines[0])
    (validation,) = read_metrics(tmp_path / "metrics.jsonl", kind="validation")
    assert validation["step"] == 3
    assert json.loads((tmp_path / "scores.json").read_text())["hmean"] == validation["hmean"] == outcome.best_hmean
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["step_000002.jpg"]
    metadata = read_weights(tmp_path / "best.safetensors").metadata
    assert metadata["detection"]["magnify"] == 1.0
    assert (tmp_path / "last.pt").exists()


def test_loss_falls_on_scenes_seen_repeatedly(tiny_values, tmp_path):
    tiny_values["training"].update(steps=60, batch_size=4)
    tiny_values["model"]["width"] = 0.125
    tiny_values["optimizer"]["learning_rate"] = 5e-3
    tiny_values["augment"] = {"scale": [1.0, 1.0], "rotation": 0, "perspective": 0, "colour": 0}
    config = validate_config(tiny_values, where="test")

    train(config, tmp_path)

    losses = [line["loss"] for line in read_metrics(tmp_path / "metrics.jsonl", kind="train")]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_folder_with_a_run_is_not_overwritten(tiny_config, tmp_path):
    (tmp_path / "config.yaml").write_text("{}\n")
    (tmp_path / "last.pt").touch()

    with pytest.raises(ValueError, match="--resume"):
        train(tiny_config, tmp_path)


def test_resuming_with_other_settings_is_refused_by_name(tiny_values, tmp_path):
    tiny_values["training"]["steps"] = 1
    train(validate_config(tiny_values, where="test"), tmp_path)
    tiny_values["optimizer"]["learning_rate"] = 1.0

    with pytest.raises(ValueError, match=r"optimizer\.learning_rate: was 0\.002, now 1\.0"):
        train(validate_config(tiny_values, where="test"), tmp_path, resume=True)


def test_resuming_a_finished_run_does_nothing(tiny_values, tmp_path):
    tiny_values["training"]["steps"] = 1
    config = validate_config(tiny_values, where="test")
    train(config, tmp_path)
    before = (tmp_path / "last.pt").read_bytes()

    outcome = train(config, tmp_path, resume=True)

    assert outcome.finished
    assert (tmp_path / "last.pt").read_bytes() == before


def test_dataset_with_errors_is_refused_or_its_bad_scenes_are_skipped(tiny_values, tiny_set, tmp_path, capsys):
    import shutil

    broken = tmp_path / "set"
    shutil.copytree(tiny_set, broken)
    label = broken / "ch8_training_localization_transcription_gt_v2" / "gt_img_2.txt"
    label.write_text("1,2,3\n", encoding="utf-8")
    tiny_values["data"]["train"][0]["path"] = str(broken)
    tiny_values["training"]["steps"] = 1

    with pytest.raises(ValueError, match=r"gt_img_2\.txt:1"):
        train(validate_config(tiny_values, where="test"), tmp_path / "refused")

    tiny_values["data"]["on_error"] = "skip"
    assert train(validate_config(tiny_values, where="test"), tmp_path / "skipped").finished
    assert "7 scenes" in capsys.readouterr().out


def test_weights_that_fit_partly_are_loaded_partly_and_the_rest_is_named(tiny_values, tmp_path, capsys):
    tiny_values["training"]["steps"] = 1
    train(validate_config(tiny_values, where="test"), tmp_path / "first")
    state = read_weights(tmp_path / "first" / "best.safetensors").state
    partial = tmp_path / "partial.pth"
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith("conv_cls.")}, str(partial))

    tiny_values["weights"] = str(partial)
    assert train(validate_config(tiny_values, where="test"), tmp_path / "second").finished
    assert "conv_cls" in capsys.readouterr().out

    tiny_values["weights"] = str(_without_tensors(tmp_path))
    with pytest.raises(ValueError, match="no tensor in it fits"):
        train(validate_config(tiny_values, where="test"), tmp_path / "no")


def test_weights_of_another_width_are_refused(tiny_values, tmp_path):
    tiny_values["training"]["steps"] = 1
    train(validate_config(tiny_values, where="test"), tmp_path / "first")
    tiny_values["weights"] = str(tmp_path / "first" / "last.pt")
    tiny_values["model"]["width"] = 0.125

    with pytest.raises(ValueError, match=r"width"):
        train(validate_config(tiny_values, where="test"), tmp_path / "second")


def _without_tensors(folder):
    path = folder / "other.pth"
    torch.save({"somewhere.weight": torch.zeros(3)}, str(path))
    return path


def test_frozen_parameters_and_batch_norm_stay_as_they_were(tiny_values, tmp_path):
    tiny_values["training"]["steps"] = 1
    train(validate_config(tiny_values, where="test"), tmp_path / "first")
    tiny_values.update(weights=str(tmp_path / "first" / "best.safetensors"), freeze=["basenet.slice1."])
    tiny_values["model"]["freeze_batch_norm"] = True
    train(validate_config(tiny_values, where="test"), tmp_path / "second")

    model = build_model(read_weights(tmp_path / "first" / "best.safetensors"))
    freeze_batch_norm(model)  # frozen batch norms are folded
    before = model.state_dict()
    after = read_weights(tmp_path / "second" / "last.pt").state
    frozen = [name for name in before if name.startswith("basenet.slice1.") or "running_" in name]
    assert len(frozen) > 20
    for name in frozen:
        assert torch.equal(before[name], after[name]), name
    assert not torch.equal(before["conv_cls.8.weight"], after["conv_cls.8.weight"])


def test_loss_that_is_not_finite_stops_the_run_and_saves_the_batch(tiny_values, tmp_path):
    tiny_values["optimizer"] = {"learning_rate": 1e30, "warmup_steps": 0, "gradient_clip": 1e30, "average_decay": 0}
    config = validate_config(tiny_values, where="test")

    with pytest.raises(FloatingPointError, match=r"bad_batch_step_\d+\.pt") as raised:
        train(config, tmp_path)

    (saved,) = tmp_path.glob("bad_batch_step_*.pt")
    assert str(saved) in str(raised.value)
    batch = torch.load(str(saved), weights_only=True)
    assert batch["images"].shape == (2, 3, 64, 64)


def test_accumulated_batches_give_the_gradient_of_one_large_batch(tiny_values, tmp_path):
    tiny_values["model"]["freeze_batch_norm"] = True
    tiny_values["training"].update(steps=2, batch_size=4)
    train(validate_config(tiny_values, where="test"), tmp_path / "large")
    tiny_values["training"]["batch_size"] = 2
    tiny_values["optimizer"]["accumulate"] = 2
    train(validate_config(tiny_values, where="test"), tmp_path / "small")

    losses = [
        [line["loss"] for line in read_metrics(tmp_path / name / "metrics.jsonl", kind="train")]
        for name in ("large", "small")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_image_cut_short_is_skipped_counted_and_named_in_training_and_validation(
    tiny_values, tiny_set, tmp_path, capsys, monkeypatch
):
    copy = tmp_path / "cut"
    shutil.copytree(tiny_set, copy)
    image = copy / "ch8_training_images_1" / "img_3.png"
    build = run.build_state

    def cut_and_build(*arguments, **names):  # the file is whole when the datasets are read
        image.write_bytes(image.read_bytes()[:4000])
        return build(*arguments, **names)

    monkeypatch.setattr(run, "build_state", cut_and_build)
    data = {"path": str(copy), "format": "icdar2017"}
    tiny_values["data"] |= {"train": [data], "validation": [{**data, "split": "train"}], "on_error": "skip"}
    config = validate_config(tiny_values, where="test")

    outcome = train(config, tmp_path / "run")

    said = "".join(capsys.readouterr())
    assert outcome.finished
    assert said.count("img_3.png") == 1
    shutil.copytree(tiny_set, copy, dirs_exist_ok=True)
    tiny_values["data"]["on_error"] = "fail"
    with pytest.raises(ValueError, match=r"(?s)img_3\.png.*data\.on_error: skip"):
        train(validate_config(tiny_values, where="test"), tmp_path / "refused")


def test_refused_training_leaves_no_folder_behind(tiny_values, tmp_path):
    tiny_values["data"]["train"] = [str(tmp_path / "absent")]

    with pytest.raises(ValueError, match="absent"):
        train(validate_config(tiny_values, where="test"), tmp_path / "run")

    assert not (tmp_path / "run").exists()
