"""Processes that train together under torchrun: this one's rank and device, and collective operations."""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from craft.distributed.rendezvous import attempt_store
from craft.models.device import choose_device


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's rank among `world_size` that train together, 1 without torchrun, and its device."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files and messages: rank 0."""
        return self.rank == 0


def start_processes(device_name: str) -> Processes:
    """Join the other processes where torchrun started several; on "cuda" each takes the GPU of its local rank.

    Raises ValueError if the device is not available.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    device = choose_device(device_name, remedy="set training.device=cpu")
    if world_size == 1:
        return Processes(rank=0, world_size=1, device=device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if not torch.distributed.is_initialized():
        rank = int(os.environ["RANK"])
        store = attempt_store(rank, world_size)
        if store is None:
            torch.distributed.init_process_group(backend)
        else:
            torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    return Processes(rank=torch.distributed.get_rank(), world_size=world_size, device=device)


def stop_processes(processes: Processes) -> None:
    """Leave the process group, if there is one."""
    if processes.world_size > 1 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def mean_over_processes(values: Tensor, processes: Processes) -> Tensor:
    """Average a tensor of the same shape in every process over all of them; every process gets the mean."""
    if processes.world_size == 1:
        return values
    total = values.clone()
    torch.distributed.all_reduce(total)
    return total / processes.world_size


def any_process(flag: bool, processes: Processes) -> bool:
    """Whether the flag is set in any process."""
    if processes.world_size == 1:
        return flag
    shared = torch.tensor(float(flag), device=processes.device)
    torch.distributed.all_reduce(shared, op=torch.distributed.ReduceOp.MAX)
    return bool(shared.item())


def gather_objects(value: Any, processes: Processes) -> list[Any]:
    """Collect a picklable object from every process, in order of rank, in every process."""
    if processes.world_size == 1:
        return [value]
    gathered: list[Any] = [None] * processes.world_size
    torch.distributed.all_gather_object(gathered, value)
    return gathered


def share_buffers(model: nn.Module, processes: Processes) -> None:
    """Overwrite a model's batch norm statistics with rank 0's, since each process gathers its own between two steps."""
    if processes.world_size > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, src=0)


def wait_for_all(processes: Processes) -> None:
    """Wait until every process gets here."""
    if processes.world_size > 1:
        torch.distributed.barrier()
