"""Time left counts steps and validations apart, on a clock that the test moves."""

import pytest

from craft.training.progress import RunProgress


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("craft.training.progress.time.monotonic", lambda: now[0])
    return now


def test_validations_to_come_are_counted_at_the_time_of_those_done(clock):
    progress = RunProgress(steps=100, done=0, validate_every=10, shown=False)
    assert progress.time_left(0) == "?"
    clock[0] = 9 * 2.0

    assert progress.time_left(9) == "03:02+"  # 91 steps of 2 s; nobody knows yet what a validation takes

    clock[0] += 2.0
    with progress.validating():
        clock[0] += 30.0

    assert progress.time_left(10) == "07:30"  # 90 steps of 2 s and 9 validations of 30 s
    assert progress.time_left(100) == "00:00"


def test_the_last_step_is_validated_too(clock):
    progress = RunProgress(steps=25, done=20, validate_every=10, shown=False)
    clock[0] = 1.0

    assert progress.time_left(21) == "00:04+"
    with progress.validating():
        clock[0] += 7.0
    assert progress.time_left(21) == "00:11"


def test_a_run_without_validation_and_a_resumed_one_count_their_own_steps(clock):
    progress = RunProgress(steps=100, done=50, validate_every=None, shown=False)
    clock[0] = 10.0

    assert progress.time_left(60) == "00:40"


def test_the_bar_shows_it(clock, capsys):
    progress = RunProgress(steps=4, done=0, validate_every=None, shown=True)
    clock[0] = 5.0
    progress.update()
    progress.refresh()
    progress.close()

    assert "<00:15" in capsys.readouterr().err
