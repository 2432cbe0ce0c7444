"""Processes that torchrun starts again meet each other, not what the last attempt left in the store."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch was built without torch.distributed"
)


@pytest.fixture
def serve():
    """Serve a store, and give what connects a client to it: each process has a connection of its own."""
    from torch.distributed import TCPStore

    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=20))
    return lambda: TCPStore("127.0.0.1", server.port, is_master=False, timeout=timedelta(seconds=20))


def agree(serve, ranks, world_size, seconds=20.0):
    from craft.distributed.rendezvous import agree_on_attempt

    with ThreadPoolExecutor(len(ranks)) as threads:
        calls = [threads.submit(agree_on_attempt, serve(), rank, world_size, timeout_seconds=seconds) for rank in ranks]
        return [call.result() for call in calls]


@pytest.mark.parametrize("world_size", [1, 2, 5])
def test_every_process_of_an_attempt_gets_one_token_that_no_other_attempt_had(serve, world_size):
    attempts = [set(agree(serve, range(world_size), world_size)) for _ in range(4)]

    assert [len(tokens) for tokens in attempts] == [1, 1, 1, 1]
    assert len(set.union(*attempts)) == 4


def test_a_process_that_is_quicker_than_the_new_rank_0_does_not_take_the_last_attempts_token(serve):
    from craft.distributed.rendezvous import agree_on_attempt

    last = set(agree(serve, range(3), 3))
    with ThreadPoolExecutor(2) as threads:
        early = [threads.submit(agree_on_attempt, serve(), rank, 3, timeout_seconds=20.0) for rank in (1, 2)]
        with pytest.raises(TimeoutError):
            early[0].result(timeout=0.5)
        now = agree_on_attempt(serve(), 0, 3, timeout_seconds=20.0)

        assert [call.result() for call in early] == [now, now]
    assert now not in last


def test_an_attempt_that_was_cut_before_all_had_come_does_not_hold_up_the_next(serve):
    with pytest.raises(TimeoutError, match="not all training processes"):
        agree(serve, [0, 1], 3, seconds=0.5)

    assert len(set(agree(serve, [2, 1, 0], 3))) == 1


def test_processes_that_rank_0_never_joins_end_with_a_clear_error(serve):
    with pytest.raises(TimeoutError, match=r"within 0\.3 s; check torchrun's output"):
        agree(serve, [1], 2, seconds=0.3)


def test_without_torchruns_store_the_default_is_left_in_place(monkeypatch):
    from craft.distributed.rendezvous import attempt_store

    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)

    assert attempt_store(0, 2) is None
