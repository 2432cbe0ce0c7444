"""The Triton kernels paint what the CPU paints; without a GPU they run in Triton's interpreter, in a process of its own."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

# Draws the same words both ways and prints the greatest differences; run where TRITON_INTERPRET is set, or on CUDA.
COMPARE = """
import sys
import numpy as np
import torch
torch.set_num_threads(1)
from craft.targets.heatmaps import draw_targets

def words(generator, count, *, size, spread, images):
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [0.5, 0.8]
    middles = generator.uniform(-0.1, 1.1, (count, 1, 1, 2)) * spread
    steps = np.arange(3)[:, None, None] * [1.0, 0.1]
    characters = middles + size * (steps + corners + generator.normal(0, 0.08, (count, 3, 4, 2)))
    strips = np.stack([characters[:, 0, 0], characters[:, -1, 1], characters[:, -1, 2], characters[:, 0, 3]], axis=1)
    return {
        "character_quads_xy": characters.reshape(-1, 4, 2), "character_word": np.repeat(np.arange(count), 3),
        "strip_quads_xy": strips, "strip_word": np.arange(count),
        "word_image": generator.integers(0, images, count),
        "word_confidence": generator.choice([0, 0.25, 0.5, 1], count),
    }

def difference(arguments, images, size_hw):
    given = {"batch_size": images, "map_size_hw": size_hw, "device": sys.argv[1]}
    first, second = (draw_targets(**arguments, **given, painter=painter) for painter in ("cpu", "triton"))
    assert first.maps.shape == second.maps.shape
    assert first.confidence.dtype == second.confidence.dtype == torch.float32
    pairs = ((first.maps, second.maps), (first.confidence, second.confidence))
    return max(float((left - right).abs().max()) if left.numel() else 0.0 for left, right in pairs), float(first.maps.sum())

generator = np.random.default_rng(4)
cases = {
    "nothing": (words(generator, 0, size=9, spread=60, images=2), 2, (32, 48)),
    "no image": (words(generator, 0, size=9, spread=60, images=1), 0, (32, 48)),
    "a small word": (words(generator, 1, size=9, spread=60, images=1), 1, (32, 32)),
    "a word larger than the map": (words(generator, 1, size=300, spread=60, images=1), 1, (33, 47)),
    "partly outside": (words(generator, 12, size=30, spread=90, images=2), 2, (32, 48)),
    "many": (words(generator, 60, size=9, spread=160, images=3), 3, (64, 80)),
}
for name, case in cases.items():
    print(name, *difference(*case), sep=",")
"""

has_triton = importlib.util.find_spec("triton") is not None


def differences(device, **variables):
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, device],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(",") for line in done.stdout.splitlines()]
    return {name: (float(worst), float(drawn)) for name, worst, drawn in rows}


def assert_same(found):
    assert len(found) == 6
    assert {name: worst for name, (worst, _drawn) in found.items() if worst >= 1e-5} == {}
    assert found["nothing"][1] == found["no image"][1] == 0
    assert all(found[name][1] > 10 for name in ("a word larger than the map", "partly outside", "many"))


@pytest.mark.slow
@pytest.mark.skipif(not has_triton, reason="triton is not installed")
def test_kernels_paint_what_the_cpu_paints_in_the_interpreter():
    assert_same(differences("cpu", TRITON_INTERPRET="1"))


@pytest.mark.skipif(not (has_triton and torch.cuda.is_available()), reason="needs triton and a CUDA device")
def test_kernels_paint_what_the_cpu_paints_on_the_device():
    assert_same(differences("cuda"))
