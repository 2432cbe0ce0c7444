"""One step: the rate that is applied, the gradient that is taken, and which weights are validated, shipped and kept."""

import os
import signal

import pytest
import torch

from craft.config import validate_config
from craft.distributed.processes import start_processes
from craft.models.weights import read_weights
from craft.ohem.loss import pixel_loss
from craft.targets.heatmaps import Targets
from craft.training import loop
from craft.training.checkpoint import read_checkpoint
from craft.training.datasets import read_training_datasets
from craft.training.finite_check import FiniteWatch
from craft.training.loop import train, training_batches
from craft.training.meter import IntervalMeter
from craft.training.state import build_state, restore_state, save_state
from craft.training.step import maps_loss, train_step
from tests.region.test_training import SMALL

CPU = torch.device("cpu")


def fresh(values):
    config, processes = validate_config(values, where="test"), start_processes("cpu")
    return config, processes, build_state(config, processes, echo=lambda _message: None)


def first_batch(values):
    config, processes, state = fresh(values)
    datasets = read_training_datasets(config.data, echo=lambda _message: None)
    return next(training_batches(config, datasets, state, processes))


def step_gradients(values, batches, folder, *, regions=None):
    """Do a step, and return its gradients by name, as the optimizer gets them, and what the meter says."""
    config, processes, state = fresh(values)
    found = {}

    def take_gradients():
        found.update({name: value.grad.clone() for name, value in state.model.named_parameters()})

    state.optimizer.step = take_gradients
    meter = IntervalMeter(processes)
    made = regions(config, state.model, folder, processes) if regions else None
    train_step(config, state, iter(batches), processes, meter, FiniteWatch(folder, CPU), 1e-3, made)
    return found, meter.read()


def norm(gradients):
    return torch.cat([value.flatten() for value in gradients.values()]).norm().item()


def test_the_rate_of_a_step_is_the_one_that_it_is_given(tiny_values):
    _, _, state = fresh(tiny_values)
    before = {name: value.clone() for name, value in state.model.named_parameters()}
    for value in state.model.parameters():
        value.grad = torch.ones_like(value)

    state.update(0.0)

    assert all(torch.equal(value, before[name]) for name, value in state.model.named_parameters())
    for value in state.model.parameters():
        value.grad = torch.ones_like(value)
    state.update(0.5)
    moved = (state.model.conv_cls[-1].bias - before["conv_cls.8.bias"]).abs()
    assert moved.max() > 0.1  # Adam moves by about the rate


def test_the_gradient_is_cut_to_the_largest_norm_allowed(tiny_values, tmp_path):
    batch = first_batch(tiny_values)
    tiny_values["optimizer"]["gradient_clip"] = 1e6
    whole = norm(step_gradients(tiny_values, [batch], tmp_path)[0])
    tiny_values["optimizer"]["gradient_clip"] = 0.25 * whole

    cut, measured = step_gradients(tiny_values, [batch], tmp_path)

    assert norm(cut) == pytest.approx(0.25 * whole, rel=1e-4)
    assert measured["gradient_norm"] == pytest.approx(whole, rel=1e-4)  # the log has it as it was


def test_gradients_and_losses_of_accumulated_batches_are_means(tiny_values, tmp_path):
    batch = first_batch(tiny_values)
    tiny_values["optimizer"]["gradient_clip"] = 1e6
    once, measured = step_gradients(tiny_values, [batch], tmp_path)
    tiny_values["optimizer"]["accumulate"] = 2

    twice, measured_twice = step_gradients(tiny_values, [batch, batch], tmp_path)

    for name, value in once.items():
        torch.testing.assert_close(twice[name], value, atol=1e-5, rtol=1e-3, msg=name)
    for name in ("loss", "kept_negatives_region"):
        assert measured_twice[name] == pytest.approx(measured[name], rel=1e-4)


def test_the_region_paths_loss_counts_by_its_weight(tiny_values, tmp_path):
    from craft.region.training import RegionTraining

    batch = first_batch(tiny_values)
    tiny_values["optimizer"]["gradient_clip"] = 1e6

    def head_norm(weight):
        values = {**tiny_values, "region": {**SMALL, "weight": weight}}
        found, _ = step_gradients(
            values,
            [batch],
            tmp_path,
            regions=lambda config, model, folder, processes: RegionTraining(config, model, [], folder, processes),
        )
        head = norm({name: value for name, value in found.items() if name.startswith("region.head.")})
        return head, norm({name: value for name, value in found.items() if name.startswith("region.proposals.")})

    (small, small_network), (large, large_network) = head_norm(0.1), head_norm(0.4)
    assert large == pytest.approx(4 * small, rel=1e-4)
    assert small_network > 0  # the proposal network learns too
    assert large_network == pytest.approx(4 * small_network, rel=1e-4)


@pytest.mark.parametrize("scope", ["image", "batch"])
def test_the_loss_takes_every_ohem_setting(tiny_values, scope):
    tiny_values["ohem"] = {"rule": "hardest", "ratio": 1.0, "final_ratio": 9.0, "min_negatives": 12, "scope": scope}
    tiny_values["training"]["steps"] = 3
    config = validate_config(tiny_values, where="test")
    batch = first_batch(tiny_values)
    scores = torch.rand(2, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = torch.zeros(2, 2, 32, 32)
    maps[:, :, 0, :10] = 1  # ten pixels of text, so that the ratio decides
    few = Targets(maps, torch.ones_like(maps))

    for step, ratio in ((0, 1.0), (1, 3.0), (2, 9.0)):
        found = maps_loss(scores, batch, few, config, step=step)

        settings = {"rule": "hardest", "ratio": ratio, "min_negatives": 12, "scope": scope}
        wanted = pixel_loss(scores, few.maps, few.confidence, batch.seeds, **settings)
        assert found.loss == wanted.loss
        assert torch.equal(found.kept_negatives, wanted.kept_negatives)
        assert found.kept_negatives.sum(dim=0).tolist() == [max(2 * 12, int(20 * ratio))] * 2


def test_each_step_moves_the_average_by_its_share(tiny_values):
    tiny_values["optimizer"]["average_decay"] = 0.2
    _, _, state = fresh(tiny_values)
    weight, average = (network.conv_cls[-1].bias for network in (state.model, state.average.module))
    expected = torch.zeros_like(average)

    for step, decay in (
        (1, 0.0),
        (2, 2 / 11),
        (3, 0.2),
    ):  # the first copies; (1 + n) / (10 + n) after n steps, at most 0.2
        for value in state.model.parameters():
            value.grad = torch.ones_like(value)
        state.step = step
        state.update(0.1)

        expected = decay * expected + (1 - decay) * weight.detach()
        torch.testing.assert_close(average, expected)


def test_the_average_is_validated_and_shipped_and_snapshots_are_of_what_is_trained(tiny_values, tmp_path, monkeypatch):
    tiny_values["data"]["validation"] = [dict(tiny_values["data"]["train"][0], numbers=[1, 2])]
    tiny_values["training"].update(steps=3, snapshots=[2, 3])
    tiny_values["optimizer"]["average_decay"] = 0.9
    validated, validate = [], loop.validate

    def record(model, *arguments, **names):
        validated.append({name: value.clone() for name, value in model.state_dict().items()})
        return validate(model, *arguments, **names)

    monkeypatch.setattr(loop, "validate", record)
    train(validate_config(tiny_values, where="test"), tmp_path)

    checkpoint = read_checkpoint(tmp_path / "last.pt", device=CPU)
    weight = "conv_cls.8.weight"
    assert not torch.equal(checkpoint.model[weight], checkpoint.average[weight])
    assert torch.equal(validated[-1][weight], checkpoint.average[weight])
    for name in ("best", "last"):
        assert torch.equal(read_weights(tmp_path / f"{name}.safetensors").state[weight], checkpoint.average[weight])
    snapshots = {path.stem: read_weights(path).state for path in (tmp_path / "snapshots").iterdir()}
    assert set(snapshots) == {"step_2", "step_3"}
    assert torch.equal(snapshots["step_3"][weight], checkpoint.model[weight])


def test_run_with_accumulated_batches_resumes_at_its_place_in_the_data(tiny_values, tmp_path, monkeypatch):
    tiny_values["optimizer"]["accumulate"] = 2
    tiny_values["training"]["steps"] = 4
    config = validate_config(tiny_values, where="test")
    train(config, tmp_path / "whole")
    clip, calls = torch.nn.utils.clip_grad_norm_, []

    def interrupt(*arguments, **names):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return clip(*arguments, **names)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", interrupt)
    assert train(config, tmp_path / "resumed").step == 2
    monkeypatch.undo()

    train(config, tmp_path / "resumed", resume=True)

    whole, resumed = (read_checkpoint(tmp_path / name / "last.pt", device=CPU) for name in ("whole", "resumed"))
    assert all(torch.equal(value, resumed.model[name]) for name, value in whole.model.items())


def test_a_restored_state_is_the_saved_one_down_to_its_counters_and_random_numbers(tiny_values, tmp_path):
    config, processes, state = fresh(tiny_values)
    for step in range(1, 4):
        for value in state.model.parameters():
            value.grad = torch.full_like(value, float(step))
        state.step = step
        state.update(1e-2)
    state.best_hmean = 0.25
    torch.rand(5)
    save_state(state, tmp_path / "last.pt", config)
    expected = torch.rand(3)

    _, _, restored = fresh(tiny_values)
    restore_state(restored, tmp_path / "last.pt", processes)

    assert torch.equal(torch.rand(3), expected)
    assert (restored.step, restored.best_hmean, restored.average_rule.updates) == (3, 0.25, 3)
    for one in (state, restored):
        for value in one.model.parameters():
            value.grad = torch.ones_like(value)
        one.step = 4
        one.update(1e-2)
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, restored.model.state_dict()[name]), name
        assert torch.equal(state.average.module.state_dict()[name], restored.average.module.state_dict()[name]), name


def test_another_seed_starts_from_other_weights(tiny_values):
    tiny_values["training"]["seed"] = 5
    first = fresh(tiny_values)[2].model.state_dict()
    tiny_values["training"]["seed"] = 6
    second = fresh(tiny_values)[2].model.state_dict()

    assert not torch.equal(first["conv_cls.0.weight"], second["conv_cls.0.weight"])


def test_the_meter_gives_means_over_steps_and_crops_per_second(monkeypatch):
    meter = IntervalMeter(start_processes("cpu"))
    meter.add(torch.arange(8.0), images=3)
    meter.add(torch.arange(8.0) + 2, images=5)
    meter._start -= 100.0  # a hundred seconds and what the lines above took

    read = meter.read()

    assert read["loss"] == 1
    assert read["kept_negatives_affinity"] == 8
    assert read["images_per_second"] == pytest.approx(0.08, rel=0.05)
    assert meter.read()["loss"] == 0
