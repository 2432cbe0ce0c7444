"""A run folder is resumed with the settings it was made with, on as many processes as one likes."""

import json

import pytest
import torch

from craft.config import validate_config
from craft.training.checkpoint import Checkpoint, write_checkpoint
from craft.training.run_folder import open_run_folder

CPU = torch.device("cpu")


def settings(values, *, batch_size, accumulate, **changes):
    optimizer = {**values["optimizer"], "accumulate": accumulate}
    training = {**values["training"], "batch_size": batch_size}
    return validate_config({**values, "optimizer": optimizer, "training": training, **changes}, where="test")


def save_checkpoint(folder):
    """Make a folder that of a run with a checkpoint."""
    settings_text = (folder / "config.yaml").read_text(encoding="utf-8")
    checkpoint = Checkpoint({}, {}, {}, torch.get_rng_state(), 2, -1.0, settings_text, "0")
    write_checkpoint(folder / "last.pt", checkpoint)


@pytest.fixture
def of_four(tiny_values, tmp_path):
    """The folder of a run with 8 crops a step, 2 in each of 4 processes."""
    open_run_folder(
        tmp_path / "run", settings(tiny_values, batch_size=2, accumulate=1), resume=False, device=CPU, processes=4
    )
    save_checkpoint(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(("processes", "batch_size", "accumulate"), [(2, 2, 2), (1, 4, 2), (1, 8, 1), (4, 1, 2)])
def test_step_may_be_split_in_other_ways(of_four, tiny_values, processes, batch_size, accumulate):
    config = settings(tiny_values, batch_size=batch_size, accumulate=accumulate)

    open_run_folder(of_four, config, resume=True, device=CPU, processes=processes)

    last = json.loads((of_four / "environment.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert last["processes"] == processes


@pytest.mark.parametrize(
    ("processes", "batch_size", "remedy"),
    [(2, 2, r"set optimizer\.accumulate to 2"), (3, 2, r"whose product with 3 is 8"), (8, 2, "product with 8 is 8")],
)
def test_step_with_other_crops_is_refused_with_what_to_set(of_four, tiny_values, processes, batch_size, remedy):
    config = settings(tiny_values, batch_size=batch_size, accumulate=1)

    with pytest.raises(ValueError, match=rf"a step had 8 crops \(4 processes x 2 crops x 1 batches\).*{remedy}"):
        open_run_folder(of_four, config, resume=True, device=CPU, processes=processes)


def test_batches_that_are_ranked_together_keep_their_size(tiny_values, tmp_path):
    ohem = {**tiny_values["ohem"], "scope": "batch"}
    before, now = (settings(tiny_values, batch_size=size, accumulate=8 // size, ohem=ohem) for size in (8, 4))
    open_run_folder(tmp_path / "run", before, resume=False, device=CPU)
    save_checkpoint(tmp_path / "run")

    with pytest.raises(ValueError, match=r"training\.batch_size: was 8, now 4"):
        open_run_folder(tmp_path / "run", now, resume=True, device=CPU)


def test_run_folder_with_a_setting_that_was_removed_since_is_resumed(of_four, tiny_values):
    config = settings(tiny_values, batch_size=2, accumulate=1)
    written = (of_four / "config.yaml").read_text(encoding="utf-8")
    (of_four / "config.yaml").write_text(
        written.replace("  workers:", "  on_device: colours\n  workers:"), encoding="utf-8"
    )

    open_run_folder(of_four, config, resume=True, device=CPU, processes=4)

    assert "on_device" not in (of_four / "config.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b'{"craft": "0.1', b"\0" * 40])
@pytest.mark.parametrize("name", ["environment.jsonl", "config.yaml"])
def test_side_file_that_a_power_cut_broke_does_not_stop_a_resumed_run(of_four, tiny_values, name, content):
    (of_four / name).write_bytes(content)
    config = settings(tiny_values, batch_size=2, accumulate=1)

    assert open_run_folder(of_four, config, resume=True, device=CPU, processes=4)

    assert json.loads((of_four / "environment.jsonl").read_text(encoding="utf-8").splitlines()[-1])["processes"] == 4


def test_folder_without_a_checkpoint_is_no_run(of_four, tiny_values):
    (of_four / "last.pt").unlink()
    changed = settings(tiny_values, batch_size=4, accumulate=1)

    assert not open_run_folder(of_four, changed, resume=False, device=CPU)

    (of_four / "best.safetensors").touch()
    with pytest.raises(ValueError, match=r"holds best\.safetensors but no last\.pt"):
        open_run_folder(of_four, changed, resume=True, device=CPU)
