"""A fresh start for processes that torchrun has restarted: none reads what an earlier attempt left behind."""

from __future__ import annotations

import os
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import torch.distributed

if TYPE_CHECKING:
    from torch.distributed import Store

_TOKEN = "craft/attempt"
_POLL_SECONDS = 0.05


def attempt_store(rank: int, world_size: int, *, timeout_seconds: float = 1800.0) -> Store | None:
    """Give the store in which the processes of this attempt meet; None where torchrun's agent serves none.

    torchrun's agent serves one store for the whole run, and the addresses of an attempt that ended stay in it. A
    process that is quicker than its peers reads the address of one that is gone, and cannot connect (pytorch/pytorch
    issue 135712). How often an agent has restarted does not tell attempts apart either, since replaced agents count
    from 0. So the processes agree on a token first. Raises TimeoutError if not all processes joined.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    from torch.distributed import PrefixStore, TCPStore  # imported here: torch may be built without them

    timeout = timedelta(seconds=timeout_seconds)
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(address, port, world_size=world_size, is_master=False, timeout=timeout)
    return PrefixStore(agree_on_attempt(store, rank, world_size, timeout_seconds=timeout_seconds), store)


def agree_on_attempt(store: Store, rank: int, world_size: int, *, timeout_seconds: float) -> str:
    """Agree on a token with the processes that run now, whatever earlier ones have left in the store.

    Rank 0 stores a token of its own and waits until every other rank has answered under it with a number of its own; it
    then lists the answers. A rank that finds itself in the list has met a rank 0 that runs now: the lists of earlier
    attempts cannot contain it. Raises TimeoutError if not all processes joined.
    """
    me = uuid.uuid4().hex
    if rank == 0:
        answers = [f"{_TOKEN}/{me}/{other}" for other in range(1, world_size)]
        store.set(_TOKEN, me)
        if answers:
            _wait(store, answers, timeout_seconds)
        store.set(f"{_TOKEN}/{me}/met", " ".join(store.get(answer).decode() for answer in answers))
        return me
    end = time.monotonic() + timeout_seconds
    _wait(store, [_TOKEN], timeout_seconds)
    while time.monotonic() < end:
        token = store.get(_TOKEN).decode()
        store.set(f"{_TOKEN}/{token}/{rank}", me)
        met = f"{_TOKEN}/{token}/met"
        if store.check([met]) and me in store.get(met).decode().split():
            return token
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(_absent(timeout_seconds))


def _wait(store: Store, keys: list[str], seconds: float) -> None:
    try:
        store.wait(keys, timedelta(seconds=seconds))
    except torch.distributed.DistStoreError as error:
        raise TimeoutError(_absent(seconds)) from error


def _absent(seconds: float) -> str:
    return (
        f"not all training processes joined within {seconds:g} s; "
        "check torchrun's output for the others, then start again with --resume"
    )
