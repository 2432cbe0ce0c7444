"""`craft bench` times every part, and what it prints and writes agree."""

import json

import pytest
import torch

from craft.cli.command import main
from craft.config import dump_config, validate_config
from craft.models.craft import CRAFT
from craft.training.bench import training_flop
from craft.training.bench_report import BenchReport, advise, summarise_times

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


def report(
    *,
    loader=100.0,
    step=50.0,
    whole=49.0,
    wait=0.0,
    workers=2,
    memory=None,
    device=None,
    precision="float32",
    bf16=False,
):
    """A report of one process with batches of 8 crops on 16 cores."""
    rates = {"loader": loader, "targets": 2000.0, "loss": 1000.0, "step without loader": step, "whole": whole}
    parts = tuple(
        summarise_times(
            name,
            [8 / rate],
            images=8,
            memory=memory if name.startswith("step") else None,
            data_wait=wait if name == "whole" else None,
        )
        for name, rate in rates.items()
    )
    return BenchReport(
        parts=parts,
        peak_flops=1e12,
        flop_per_image=10**9,
        precision=precision,
        first_batch_seconds=1.0,
        host_peak_bytes=2**30,
        device_bytes=device,
        native_bf16=bf16,
        processes=1,
        writes=True,
        environment={"cores": 16},
        settings={"data": {"workers": workers}, "training": {"batch_size": 8}, "optimizer": {"accumulate": 1}},
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "Bound by the step, which spends 92% of its time in the network; the loader keeps up."),
        ({"loader": 30.0, "whole": 30.0, "wait": 0.4}, "Bound by the loader: training waits for it 40% of the time."),
        # Other work on the machine makes two timings differ, but nobody waits for crops.
        (
            {"whole": 40.0, "wait": 0.02},
            "Bound by the step, which spends 92% of its time in the network; the loader keeps up.",
        ),
        ({"loader": 60.0}, "Workers: 2 are right."),  # 30 a second each; 1.2 x 50 are needed
        ({"loader": 30.0, "whole": 30.0}, "Workers: raise data.workers from 2 to 4."),
        (
            {"loader": 3.0},
            "Workers: raise data.workers from 2 to 40, but this machine has 16 cores; smaller images help too.",
        ),
        (
            {"loader": 800.0, "workers": 8},
            "Workers: 1 of 8 would do; lower data.workers where other work needs the cores.",
        ),
        (
            {"loader": 100.0, "workers": 0},
            "Workers: loading in the training process adds 50% to each step; data.workers: 1 loads beside it where a core is "
            "free (16 here).",
        ),
        ({}, "Batch: 8 crops; only a CUDA device says how many would fit."),
        ({"memory": 3, "device": 10}, "Batch: about 24 crops would fit (30% of the memory is used by 8)."),
        (
            {"memory": 95, "device": 100},
            "Batch: 8 crops fill the device's memory; fewer, with optimizer.accumulate, train the same steps.",
        ),
        (
            {"bf16": True},
            "Precision: the device computes in bf16 natively; set training.precision to bf16 for faster steps.",
        ),
        ({"precision": "bfloat16"}, "Precision: the device only imitates bf16; set training.precision to fp32."),
        ({"precision": "bfloat16", "bf16": True}, "Precision: bfloat16 is right for this device."),
    ],
)
def test_bench_advises_in_a_sentence_each(values, expected):
    advice = advise(report(**values))

    assert len(advice) == 4
    assert expected in advice


def test_no_step_to_time_is_refused(tiny_values, tmp_path, capsys):
    settings = tmp_path / "config.yaml"
    settings.write_text(dump_config(validate_config(tiny_values, where="test")), encoding="utf-8")

    with pytest.raises(SystemExit):
        main(["bench", str(settings), "--steps", "0"])
    assert "--steps: 0 is below 1" in capsys.readouterr().err
