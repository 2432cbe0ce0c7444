"""Small fixed runs give the losses that the repository keeps."""

import pytest
import torch

from benchmarks.agreement.reference_losses import (
    CHANGES,
    TOLERANCE,
    curve_file,
    largest_difference,
    machine_kind,
    read_curve,
    run_curve,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_losses_are_those_of_the_kept_curve(name, tmp_path):
    kind, expected = read_curve(curve_file(name, "cpu"))

    rows = run_curve(name, tmp_path / "run", device="cpu")

    difference = largest_difference(rows, expected)
    assert difference <= (0 if kind == machine_kind("cpu") else TOLERANCE)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", [name for name in CHANGES if curve_file(name, "cuda").exists()])
def test_losses_on_cuda_are_near_those_of_the_kept_curve(name, tmp_path):
    _, expected = read_curve(curve_file(name, "cuda"))

    assert largest_difference(run_curve(name, tmp_path / "run", device="cuda"), expected) <= TOLERANCE


def test_a_change_in_any_number_or_step_shows():
    rows = [[1.0, 2.0], [3.0, 0.0]]

    assert largest_difference(rows, rows) == 0
    assert largest_difference([[1.0, 2.0], [3.3, 0.0]], rows) == pytest.approx(0.1)
    assert largest_difference(rows[:1], rows) == float("inf")
