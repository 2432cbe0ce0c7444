"""The page of a run: written at every validation, served by `craft watch`, and its numbers sent to loggers."""

import sys
import threading
import types
import urllib.error
import urllib.request

import pytest

from craft.config import validate_config
from craft.training.loop import train
from craft.training.report import report_page, report_server
from craft.training.run_log import RunLog, check_loggers


def test_a_validation_writes_a_page_with_curves_maps_found_words_and_kept_pixels(tiny_values, tmp_path):
    tiny_values["data"]["validation"] = [dict(tiny_values["data"]["train"][0], numbers=[1, 2])]
    tiny_values["training"].update(steps=3, pictures_every=1)

    train(validate_config(tiny_values, where="test"), tmp_path / "run")

    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "3 steps done, best H-mean" in page
    assert page.count("<svg") >= 7
    assert page.count("data:image/jpeg;base64,") == 2
    for name in ("affinity", "negatives", "learning rate", "H-mean"):
        assert name in page
    assert "http-equiv" not in page
    assert [path.name for path in (tmp_path / "run/found").iterdir()] == ["step_000003.jpg"]


def test_the_page_is_served_anew_at_each_request(tmp_path):
    log = RunLog(tmp_path, writes=True, after_step=-1)
    log.write("train", 1, {"loss": 0.5})
    with report_server(tmp_path, host="127.0.0.1", port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        first = urllib.request.urlopen(address).read().decode()
        log.write("train", 1234, {"loss": 0.25})
        second = urllib.request.urlopen(address).read().decode()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(address + "metrics.jsonl")
        server.shutdown()
    log.close()

    assert "1 steps done" in first
    assert "1,234 steps done" in second
    assert 'http-equiv="refresh"' in second
    assert '<link rel="icon" href="data:,">' in second  # or the browser asks for one and logs an error


def test_a_folder_without_a_run_has_no_page(tmp_path):
    with pytest.raises(ValueError, match=r"holds no metrics\.jsonl; give the folder of a run"):
        report_page(tmp_path)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_numbers_go_to_the_loggers_that_are_named(tmp_path, monkeypatch, name):
    calls = []
    run = types.SimpleNamespace(
        log=lambda numbers, step: calls.append((numbers, step)), finish=lambda: calls.append("closed")
    )
    service = types.SimpleNamespace(
        init=lambda **_settings: run,
        start_run=lambda run_name: calls.append(run_name) if run_name != tmp_path.name else None,
        log_metrics=run.log,
        end_run=run.finish,
    )
    monkeypatch.setitem(sys.modules, name, service)

    log = RunLog(tmp_path, writes=True, after_step=-1, loggers=[name])
    log.write("train", 7, {"loss": 0.5, "names": ["img_1"]})
    log.close()

    assert calls == [({"train/loss": 0.5}, 7), "closed"]


def test_a_logger_that_is_not_installed_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)

    with pytest.raises(ValueError, match=r"names wandb, which is not installed; pip install 'craft-ohem\[wandb\]'"):
        check_loggers(["wandb"])


def test_the_earlier_setting_of_tensorboard_still_counts(tiny_values):
    tiny_values["training"]["tensorboard"] = True
    assert validate_config(tiny_values, where="test").training.all_loggers == ("tensorboard",)
    tiny_values["training"]["loggers"] = ["tensorboard", "wandb"]
    assert validate_config(tiny_values, where="test").training.all_loggers == ("tensorboard", "wandb")
