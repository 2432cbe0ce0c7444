"""The learning rate and OHEM ratio of a step, the optimizer, and the moving average."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from craft.config import OhemSettings, OptimizerSettings


def learning_rate_at(step: int, *, steps: int, settings: OptimizerSettings) -> float:
    """The learning rate of a step, from 0, of a run of `steps`: a linear warm-up, then the decay asked for.

    It depends on nothing but the arguments, so that resuming needs no scheduler state.
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
    """The OHEM ratio of a step, from 0, of a run of `steps`: constant, or changing by the same factor at every step."""
    if settings.final_ratio is None:
        return settings.ratio
    share = min(1.0, step / max(1, steps - 1))
    return settings.ratio * (settings.final_ratio / settings.ratio) ** share


def build_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """Build AdamW over the parameters that are not frozen, without weight decay on biases and batch norm.

    Raises ValueError if every parameter is frozen.
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

    Update n uses the decay min(decay, (1 + n) / (10 + n)).
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.updates = 0

    def __call__(self, averaged: Sequence[Tensor], current: Sequence[Tensor], _count: Tensor | int) -> None:
        """Move the averaged tensors towards the current ones; integers are copied."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(list(averaged), list(current), 1 - decay)
        else:
            for average, value in zip(averaged, current, strict=True):
                average.copy_(value)


def build_average(model: nn.Module, *, decay: float) -> tuple[AveragedModel, WarmedAverage]:
    """Copy a model into a moving average of its weights and batch norm statistics, and give the rule that counts updates."""
    rule = WarmedAverage(decay)
    return AveragedModel(model, multi_avg_fn=rule, use_buffers=True).eval(), rule
