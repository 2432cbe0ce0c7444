"""The learning rate of a step, and the optimizer and moving average it drives."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from craft.config import OhemSettings, OptimizerSettings


def learning_rate_at(step: int, *, steps: int, settings: OptimizerSettings) -> float:
    """The learning rate of a step: a linear warm-up, then the decay asked for.

    Args:
        step: the step about to be done, from 0.
        steps: steps of the whole run.
        settings: peak, warm-up and decay.

    Returns:
        The rate; it does not depend on anything but the arguments, so resuming needs no scheduler state.
    """
    warmup = min(settings.warmup_steps, steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.decay == "step":
        return settings.learning_rate * settings.step_factor ** ((step - warmup) // settings.step_every)
    if settings.decay == "cosine":
        share = (step - warmup) / max(1, steps - warmup)
        low = settings.final_share
        return settings.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * share)))
    return settings.learning_rate


def mining_ratio_at(step: int, *, steps: int, settings: OhemSettings) -> float:
    """The OHEM ratio of a step.

    Args:
        step: the step about to be done, from 0.
        steps: steps of the whole run.
        settings: the ratio at the first step and, where it changes, at the last.

    Returns:
        Background pixels kept per text pixel; between the ends it grows or shrinks by the same factor at every step.
    """
    if settings.final_ratio is None:
        return settings.ratio
    share = min(1.0, step / max(1, steps - 1))
    return settings.ratio * (settings.final_ratio / settings.ratio) ** share


def build_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """AdamW over the parameters that learn, without weight decay on biases and batch norm.

    Args:
        model: its frozen parameters have requires_grad False.
        settings: rate and weight decay.

    Returns:
        The optimizer, fused on CUDA.

    Raises:
        ValueError: every parameter is frozen.
    """
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not learning:
        raise ValueError(
            "freeze: every parameter of the network is frozen, so there is nothing to train; remove entries"
        )
    groups = [
        {"params": [item for item in learning if item.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [item for item in learning if item.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = learning[0].device.type == "cuda"
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused)


class WarmedAverage:
    """Exponential moving average whose decay starts low, so that short runs do not average in their random start.

    Args:
        decay: the decay after many updates; update n uses min(decay, (1 + n) / (10 + n)).
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.updates = 0

    def __call__(self, averaged: Sequence[Tensor], current: Sequence[Tensor], _count: Tensor | int) -> None:
        """Move the averaged tensors towards the current ones; whole numbers are copied."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(list(averaged), list(current), 1 - decay)
        else:
            for average, value in zip(averaged, current, strict=True):
                average.copy_(value)


def build_average(model: nn.Module, *, decay: float, updates: int) -> tuple[AveragedModel, WarmedAverage]:
    """A copy of the model that follows its weights and batch norm statistics.

    Args:
        model: the network that trains.
        decay: of the moving average.
        updates: updates already done, when resuming.

    Returns:
        The averaged model, and the rule whose `updates` the loop counts up.
    """
    rule = WarmedAverage(decay)
    rule.updates = updates
    average = AveragedModel(model, multi_avg_fn=rule, use_buffers=True)
    if updates:
        average.n_averaged.fill_(updates)
    return average.eval(), rule
