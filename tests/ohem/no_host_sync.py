"""A mode in which operations that make the host wait for the device, or whose shape depends on the data, raise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_SYNCHRONISING = (
    "_local_scalar_dense",  # .item(), float(), bool(), an `if` on a tensor
    "nonzero",
    "masked_select",
    "_unique",
    "unique",
    "bincount",
    "equal",
    "repeat_interleave.Tensor",
)


class NoHostSync(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = str(func).removeprefix("aten.")
        if name.startswith(_SYNCHRONISING):
            raise AssertionError(f"{name} waits for the device")
        if name.startswith("index"):
            indices = [index for argument in args if isinstance(argument, list | tuple) for index in argument]
            if any(isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in indices):
                raise AssertionError(f"{name} with a boolean mask waits for the device")
        return func(*args, **(kwargs or {}))
