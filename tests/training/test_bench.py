"""`craft bench` times every part, and what it prints and writes agree."""

import json

import pytest
import torch

from craft.cli.command import main
from craft.config import dump_config, validate_config
from craft.models.craft import CRAFT
from craft.training.bench import training_flop
from craft.training.bench_report import summarise_times

PARTS = ["loader", "targets", "loss", "step without loader", "whole"]


def test_rate_counts_all_the_time_and_the_median_does_not():
    part = summarise_times("loss", [0.1, 0.1, 0.4], images=8)

    assert part.images_per_second == pytest.approx(8 * 3 / 0.6)
    assert part.milliseconds == pytest.approx(100)
    assert part.milliseconds_low <= 100 <= part.milliseconds_high <= 400


def test_operations_of_the_full_network_are_those_measured_by_others():
    # 711,440 operations a pixel forward; backward twice that, but for the first layer's pictures, which have no gradient.
    model = CRAFT(1.0)
    forward, first_layer = 711_440 * 64 * 64, 2 * 27 * 64 * 64 * 64

    assert training_flop(model, 64) == pytest.approx(3 * forward - first_layer, rel=1e-3)
    assert next(model.parameters()).device.type == "cpu"


def test_frozen_layers_cost_less():
    model = CRAFT(0.0625)
    whole = training_flop(model, 64)
    model.basenet.slice1.requires_grad_(False)

    assert training_flop(model, 64) < whole


def test_bench_times_every_part_and_writes_what_it_prints(tiny_values, tmp_path, capsys):
    tiny_values["optimizer"]["accumulate"] = 2
    settings = tmp_path / "config.yaml"
    settings.write_text(dump_config(validate_config(tiny_values, where="test")), encoding="utf-8")

    status = main(["bench", str(settings), "--set", "data.workers=1", "--steps", "3", "--out", str(tmp_path / "out")])

    assert status == 0
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8"))
    assert [part["name"] for part in written["parts"]] == PARTS
    for part in written["parts"]:
        assert part["count"] == 3
        assert part["images_per_second"] > 0
        assert part["name"] in printed
        has_network = part["name"] in ("step without loader", "whole")
        assert (part["peak_share"] is not None) == has_network
        assert part["peak_share"] is None or 0 < part["peak_share"] < 2
        assert part["data_wait"] is None or 0 <= part["data_wait"] <= 1
    assert written["environment"]["torch"] == torch.__version__
    assert written["environment"]["threads"] == torch.get_num_threads()
    assert written["settings"]["data"]["workers"] == 1
    assert (tmp_path / "out" / "bench.md").read_text(encoding="utf-8").strip() in printed


def test_no_step_to_time_is_refused(tiny_values, tmp_path, capsys):
    settings = tmp_path / "config.yaml"
    settings.write_text(dump_config(validate_config(tiny_values, where="test")), encoding="utf-8")

    with pytest.raises(SystemExit):
        main(["bench", str(settings), "--steps", "0"])
    assert "--steps: 0 is below 1" in capsys.readouterr().err
