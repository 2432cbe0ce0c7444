"""A teacher's maps as training targets."""

import cv2
import numpy as np
import pytest
import torch

from craft.config import dump_config, validate_config
from craft.models.inference import normalise_images
from craft.models.weights import build_model, read_weights, save_safetensors
from craft.training import step
from craft.training.loop import train
from craft.training.run_log import read_metrics
from craft.training.step import teacher_targets
from tests.networks import lively_network


@pytest.fixture
def teacher(tmp_path):
    """Weights of a network whose maps vary over the image."""
    path = tmp_path / "teacher.safetensors"
    model = lively_network(seed=3)
    with torch.no_grad():
        model.conv_cls[-1].weight.mul_(20)  # untrained maps are faint
    save_safetensors(model, path, {"width": 0.0625})
    return path


def crops(count=2, side=64):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, side, side)).astype(np.uint8)
    return torch.from_numpy(pixels)


def test_targets_are_the_teachers_maps_clipped_and_trusted_everywhere(teacher):
    model = build_model(read_weights(teacher)).eval()
    with torch.no_grad():
        maps, _ = model(normalise_images(crops()))

    targets = teacher_targets(crops(), str(teacher), precision=torch.float32)

    torch.testing.assert_close(targets.maps, maps.clamp(0, 1))
    assert targets.maps.min() == 0  # the clip had something to do
    assert (targets.confidence == 1).all()
    assert targets.confidence.shape == targets.maps.shape


def test_a_network_taught_by_maps_alone_comes_closer_to_the_teacher(teacher, tiny_values, tiny_set, tmp_path):
    scene = cv2.imread(str(tiny_set / "ch8_training_images_1" / "img_3.png"))
    image = torch.from_numpy(np.ascontiguousarray(scene[..., ::-1].transpose(2, 0, 1)))[None]
    tiny_values["distillation"] = {"weights": str(teacher), "share": 1.0}
    tiny_values["training"].update(batch_size=4)
    tiny_values["ohem"] = {"rule": "none"}
    tiny_values["optimizer"]["learning_rate"] = 5e-3

    def distance(steps):
        tiny_values["training"]["steps"] = steps
        folder = tmp_path / f"run_{steps}"
        train(validate_config(tiny_values, where="test"), folder)
        model = build_model(read_weights(folder / "last.safetensors")).eval()
        with torch.no_grad():
            maps, _ = model(normalise_images(image))
        return (maps - teacher_targets(image, str(teacher), precision=torch.float32).maps).square().mean()

    assert distance(40) < 0.7 * distance(1)


def test_the_share_mixes_the_two_losses(teacher, tiny_values, tmp_path, monkeypatch):
    totals, seen, backward = {}, [], torch.Tensor.backward
    for share in (0.25, 0.5, 1.0):
        tiny_values["distillation"] = {"weights": str(teacher), "share": share}
        tiny_values["training"].update(steps=1)
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "backward", lambda total: (seen.append(float(total.detach())), backward(total)))
            train(validate_config(tiny_values, where="test"), tmp_path / str(share))
        totals[share] = seen[-1]

    labels = 2 * totals[0.5] - totals[1.0]
    assert labels != pytest.approx(totals[1.0], rel=1e-3)
    assert totals[0.25] == pytest.approx(0.75 * labels + 0.25 * totals[1.0], rel=1e-5)


def test_without_labels_only_the_teachers_targets_are_made_and_logged(teacher, tiny_values, tmp_path, monkeypatch):
    tiny_values["distillation"] = {"weights": str(teacher), "share": 1.0}
    tiny_values["training"].update(steps=1)
    totals, backward = [], torch.Tensor.backward
    monkeypatch.setattr(step, "batch_targets", None)
    monkeypatch.setattr(torch.Tensor, "backward", lambda total: (totals.append(float(total.detach())), backward(total)))

    train(validate_config(tiny_values, where="test"), tmp_path)

    (line,) = read_metrics(tmp_path / "metrics.jsonl", kind="train")
    assert line["loss"] == pytest.approx(totals[0], rel=1e-5)


def test_network_and_teacher_share_one_copy_of_the_images(teacher, tiny_values, tmp_path, monkeypatch):
    tiny_values["distillation"] = {"weights": str(teacher)}
    tiny_values["training"].update(steps=1)
    seen = []
    original = step.run_network

    def watched(network, images, **options):
        seen.append(images)
        return original(network, images, **options)

    monkeypatch.setattr(step, "run_network", watched)

    train(validate_config(tiny_values, where="test"), tmp_path)

    first, second = seen
    assert first is second


def test_a_share_without_a_teacher_is_refused(tiny_values):
    given = {"distillation": {"share": 0.5}}

    with pytest.raises(
        ValueError, match=r"share has no effect with distillation\.weights: None; .* a teacher's weights"
    ):
        validate_config(tiny_values | given, where="test", given=given)


def test_settings_without_a_teacher_do_not_mention_distillation(tiny_values):
    config = validate_config(tiny_values, where="test")

    assert "distillation" not in dump_config(config)
