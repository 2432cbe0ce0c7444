"""The learning rate of a step, which parameters decay, and the moving average."""

import pytest
import torch
from torch import nn

from craft.config import OhemSettings, OptimizerSettings
from craft.training.schedule import build_average, build_optimizer, learning_rate_at, mining_ratio_at


def test_rate_rises_over_the_warm_up_and_reaches_its_peak():
    settings = OptimizerSettings(learning_rate=1.0, warmup_steps=4)

    rates = [learning_rate_at(step, steps=100, settings=settings) for step in range(5)]

    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_cosine_ends_near_its_final_share():
    settings = OptimizerSettings(learning_rate=2.0, warmup_steps=0, final_share=0.1)

    assert learning_rate_at(0, steps=1000, settings=settings) == 2.0
    assert learning_rate_at(500, steps=1000, settings=settings) == pytest.approx(1.1)
    assert learning_rate_at(999, steps=1000, settings=settings) == pytest.approx(0.2, rel=1e-4)


def test_step_decay_drops_by_its_factor():
    settings = OptimizerSettings(learning_rate=1.0, warmup_steps=0, decay="step", step_every=10, step_factor=0.8)

    assert learning_rate_at(9, steps=100, settings=settings) == 1.0
    assert learning_rate_at(10, steps=100, settings=settings) == 0.8
    assert learning_rate_at(25, steps=100, settings=settings) == pytest.approx(0.64)

    warmed = settings.model_copy(update={"warmup_steps": 5})  # counted from the end of the warm-up
    assert learning_rate_at(14, steps=100, settings=warmed) == 1.0
    assert learning_rate_at(15, steps=100, settings=warmed) == 0.8


def test_warm_up_longer_than_the_run_stays_below_the_peak():
    settings = OptimizerSettings(learning_rate=1.0, warmup_steps=50)

    assert learning_rate_at(9, steps=10, settings=settings) == 1.0
    assert learning_rate_at(0, steps=10, settings=settings) == pytest.approx(0.1)


def test_biases_and_batch_norm_have_no_weight_decay():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))

    groups = build_optimizer(model, OptimizerSettings(weight_decay=0.5)).param_groups

    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decays[id(model[0].weight)] == 0.5
    assert {decays[id(parameter)] for parameter in (model[0].bias, model[1].weight, model[1].bias)} == {0.0}


def test_nothing_left_to_train_is_refused():
    model = nn.Conv2d(1, 1, 1).requires_grad_(False)

    with pytest.raises(ValueError, match="nothing to train"):
        build_optimizer(model, OptimizerSettings())


def test_average_forgets_its_start_and_then_follows_the_decay():
    model = nn.Linear(1, 1, bias=False)
    average, rule = build_average(model, decay=0.9)
    expected = None
    for step in range(50):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update_parameters(model)
        # The first update copies; later ones use min(0.9, (1 + n) / (10 + n)).
        decay = min(0.9, (1 + step) / (10 + step))
        expected = float(step) if expected is None else decay * expected + (1 - decay) * step
        rule.updates = step + 1

    assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)


def test_average_keeps_batch_norm_statistics_and_copies_their_count():
    model = nn.BatchNorm1d(1)
    average, rule = build_average(model, decay=0.5)
    for step in range(3):
        model(torch.full((2, 1), float(step)) + torch.tensor([[0.0], [1.0]]))
        average.update_parameters(model)
        rule.updates = step + 1

    assert average.module.num_batches_tracked.item() == 3
    assert 0 < average.module.running_mean.item() < model.running_mean.item()


def test_the_mining_ratio_stays_unless_a_final_one_is_given():
    assert mining_ratio_at(7, steps=10, settings=OhemSettings(ratio=3)) == 3


def test_the_mining_ratio_moves_by_one_factor_a_step_from_the_first_step_to_the_last():
    settings = OhemSettings(ratio=1, final_ratio=16)

    ratios = [mining_ratio_at(step, steps=5, settings=settings) for step in range(5)]

    assert ratios == pytest.approx([1, 2, 4, 8, 16])
    assert mining_ratio_at(0, steps=1, settings=settings) == 1
