"""Stops a run whose loss is no longer finite, and saves the batch, without making the host wait at each step."""

from pathlib import Path

import torch
from torch import Tensor

from craft.atomic_files import open_atomic
from craft.datasets.batch import Batch


class FiniteWatch:
    """Checks the losses of past steps as soon as they have reached the host.

    On CUDA a step's loss arrives while later steps are already queued; on other devices it is there at once.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder = folder
        self._cuda = device.type == "cuda"
        self._waiting: list[tuple[int, Tensor, torch.cuda.Event | None, Batch]] = []

    def add(self, step: int, loss: Tensor, gradient_norm: Tensor, batch: Batch) -> None:
        """Take note of a step's loss and gradient norm, scalars on the device, and of its batch."""
        both = torch.stack([loss.detach().float(), gradient_norm.detach().float()])
        if not self._cuda:
            self._waiting.append((step, both.cpu(), None, batch))
            return
        on_host = torch.empty(2, pin_memory=True)
        on_host.copy_(both, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._waiting.append((step, on_host, event, batch))

    def check(self, *, wait: bool) -> None:
        """Check the steps whose losses have arrived, or all of them with `wait`, as is due before weights are written.

        Raises FloatingPointError if a loss or gradient was not finite; the batch was saved and is named.
        """
        while self._waiting:
            step, values, event, batch = self._waiting[0]
            if event is not None:
                if wait:
                    event.synchronize()
                elif not event.query():
                    return
            self._waiting.pop(0)
            if not bool(torch.isfinite(values).all()):
                self._stop(step, values, batch)

    def _stop(self, step: int, values: Tensor, batch: Batch) -> None:
        path = self._folder / f"bad_batch_step_{step}.pt"
        fields = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
        saved = {
            name: value if isinstance(value, list) else torch.as_tensor(value).cpu() for name, value in fields.items()
        }
        with open_atomic(path) as file:
            torch.save(saved, file)
        raise FloatingPointError(
            f"step {step}: loss {values[0]:g}, gradient norm {values[1]:g}; the batch (scenes {', '.join(batch.names)}) "
            f"is saved in {path}, the last good weights are in last.pt; try a lower optimizer.learning_rate"
        )
