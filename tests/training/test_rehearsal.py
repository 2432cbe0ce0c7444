"""What is said of a run before it starts, and that nothing is left behind."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from craft.config import validate_config
from craft.distributed.processes import Processes
from craft.teacher import relabeller
from craft.training import rehearsal
from craft.training.loop import train
from craft.training.rehearsal import dry_run, duration, find_learning_rate, format_dry_run

ALONE = Processes(rank=0, world_size=1, device=torch.device("cpu"))


def test_a_dry_run_says_what_the_run_will_take_and_leaves_nothing(tiny_values, tmp_path):
    tiny_values["data"]["validation"] = [dict(tiny_values["data"]["train"][0], numbers=[1, 2])]
    tiny_values["training"]["pictures_every"] = 2
    config = validate_config(tiny_values, where="test")

    found = dry_run(config, tmp_path / "run")

    assert not (tmp_path / "run").exists()
    train(config, tmp_path / "run")
    written = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*.*"))
    assert found.folder_bytes == pytest.approx(written, rel=0.2)  # without the page and the words found
    assert found.images_per_second > 0
    said = format_dry_run(found)
    assert all(word in said for word in ("device", "memory", "images/s", "MiB"))


def test_a_dry_run_counts_all_that_takes_time(tiny_values, tmp_path, monkeypatch):
    monkeypatch.setattr(relabeller, "_spare_device", lambda _processes, **_options: None)
    tiny_values["data"]["validation"] = [dict(tiny_values["data"]["train"][0], numbers=[1, 2])]
    tiny_values["data"]["characters"] = {"source": "teacher", "refresh": 2, "delay": 1}
    tiny_values["training"] |= {"pictures_every": 4, "patience": 5}
    config = validate_config(tiny_values, where="test")

    found = dry_run(config, tmp_path / "run")

    train(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    done = Counter(line["kind"] for line in lines)
    # Saved after steps 2, 4 and 6, and before the validations after steps 3 and 6; labelled after steps 2 and 4.
    assert (done["validation"], done["labels"], len([*(tmp_path / "run/maps").iterdir()])) == (2, 2, 1)
    assert list(found.seconds) == [
        "start",
        "steps (6)",
        "labellings (2)",
        "validations (2, of 2 scenes)",
        "checkpoints (4) and images of maps (1)",
    ]
    assert min(found.seconds.values()) > 0
    assert found.left_out == ("an early end (training.patience)",)


def test_a_dry_run_says_what_it_cannot_count(tiny_values, tmp_path, monkeypatch):
    monkeypatch.setattr(relabeller, "_spare_device", lambda processes, **_options: processes.device)
    tiny_values["data"]["characters"] = {"source": "teacher", "refresh": 2, "delay": 1}

    found = dry_run(validate_config(tiny_values, where="test"), tmp_path / "run")

    assert list(found.seconds) == ["start", "steps (6)", "checkpoints (3)"]
    said = format_dry_run(found)
    assert "not counted    validation: data.validation names no dataset" in said
    assert "not counted    labelling beside training" in said


@pytest.mark.parametrize(("workers", "now", "expected"), [(0, 0.0, 0), (2, 0.0, 6), (2, 31.0, 0)])
def test_steps_are_timed_once_the_batches_that_were_ready_are_used_up(workers, now, expected, monkeypatch):
    clock = iter([0.0] + [now] * 10)
    monkeypatch.setattr(rehearsal, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    steps = []
    monkeypatch.setattr(rehearsal, "_step", lambda _run, rate: steps.append(rate))
    run = SimpleNamespace(config=SimpleNamespace(data=SimpleNamespace(workers=workers)), processes=ALONE)

    rehearsal._settle(run)

    assert len(steps) == expected


def test_a_dry_run_refuses_what_training_would_refuse(tiny_values, tiny_config, tmp_path):
    train(tiny_config, tmp_path / "run")
    with pytest.raises(ValueError, match="already holds a run"):
        dry_run(tiny_config, tmp_path / "run")

    tiny_values["data"]["train"] = [str(tmp_path / "absent")]
    with pytest.raises(ValueError, match="absent"):
        dry_run(validate_config(tiny_values, where="test"), tmp_path / "other")


def test_the_learning_rate_is_looked_for_between_flat_and_diverging(tiny_config, tmp_path):
    curve = find_learning_rate(tiny_config, tmp_path / "rates", steps=40)

    assert curve.rates[0] == pytest.approx(1e-6)
    assert curve.rates == sorted(curve.rates)
    assert curve.suggestion is None or curve.rates[0] <= curve.suggestion <= curve.rates[-1]
    assert len(curve.rates) > 20
    assert max(curve.losses) > 1.2 * min(curve.losses)
    assert json.loads((tmp_path / "rates/learning_rate.json").read_text())["rates"] == curve.rates
    assert (tmp_path / "rates/learning_rate.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (4.25, "4.2 s"),
        (59.97, "1 min 0 s"),
        (150, "2 min 30 s"),
        (3599.8, "1 h 0 min"),
        (3600 * 5 + 60, "5 h 1 min"),
        (3600 * 51, "2 days 3 h"),
    ],
)
def test_durations_are_said_in_the_two_largest_units(seconds, said):
    assert duration(seconds) == said
