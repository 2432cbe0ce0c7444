"""metrics.jsonl: what is cut when a run resumes."""

import json
import sys

import pytest
import torch

from craft.training.run_log import RunLog, cut_metrics, describe_environment, read_metrics


def test_lines_after_the_step_and_a_torn_line_are_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"kind": "train", "step": step}) for step in (1, 2, 3)]
    path.write_text("\n".join(lines) + '\n{"kind": "train", "st', encoding="utf-8")

    cut_metrics(path, after_step=2)

    assert [line["step"] for line in read_metrics(path, kind="train")] == [1, 2]


def test_log_appends_after_what_was_kept(tmp_path):
    for after_step in (0, 1):
        log = RunLog(tmp_path, writes=True, after_step=after_step)
        log.write("train", 1, {"loss": after_step})
        log.write("train", 2, {"loss": after_step})
        log.close()

    read = read_metrics(tmp_path / "metrics.jsonl", kind="train")
    assert [(line["step"], line["loss"]) for line in read] == [(1, 0), (1, 1), (2, 1)]


def test_other_processes_write_nothing(tmp_path):
    log = RunLog(tmp_path, writes=False, after_step=0)
    log.write("train", 1, {"loss": 1.0})
    log.close()

    assert list(tmp_path.iterdir()) == []


def test_environment_names_versions_and_machine():
    environment = describe_environment(torch.device("cpu"))

    assert environment["torch"] == torch.__version__
    assert environment["processor"]
    assert environment["gpu"] is None


def test_tensorboard_that_is_not_installed_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(ValueError, match=r"pip install 'craft-ohem\[tensorboard\]'"):
        RunLog(tmp_path, writes=True, after_step=0, loggers=["tensorboard"])


def test_tensorboard_gets_the_numbers_of_a_line(tmp_path):
    pytest.importorskip("tensorboard")
    log = RunLog(tmp_path, writes=True, after_step=0, loggers=["tensorboard"])
    log.write("train", 1, {"loss": 0.5, "scenes": ["img_1"]})
    log.close()

    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize(
    ("program", "named"),
    [
        ("/home/me/lib/craft/__main__.py", "craft"),
        ("/home/me/bin/craft", "craft"),
        ("benchmarks/speed/gpu.py", "gpu.py"),
    ],
)
def test_the_command_is_named_as_a_person_types_it(monkeypatch, program, named):
    monkeypatch.setattr(sys, "argv", [program, "train", "a.yaml"])

    assert describe_environment(torch.device("cpu"))["command"] == f"{named} train a.yaml"
