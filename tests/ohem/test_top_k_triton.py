"""The Triton kernel keeps what bisection keeps; without a GPU it runs in Triton's interpreter, in a process of its own."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

COMPARE = """
import sys
import torch
torch.set_num_threads(1)
from craft.ohem import top_k_triton
from craft.ohem.top_k import MAGNITUDE, top_k_weights_by_bisection

generator = torch.Generator().manual_seed(2)
top_k_triton._BLOCK = 64  # several blocks a row

def compare(name, keys, candidates, num_kept):
    keys, candidates, num_kept = (tensor.to(sys.argv[1]) for tensor in (keys, candidates, num_kept))
    found = top_k_triton.top_k_weights_triton(torch.where(candidates, keys & MAGNITUDE, -1), num_kept)
    expected = top_k_weights_by_bisection(keys, candidates, num_kept)
    assert found.shape == expected.shape and found.dtype == torch.float32
    print(name, float((found - expected).abs().max()) if found.numel() else 0.0, float(found.sum()), sep=",")

errors = torch.rand(4, 200, generator=generator)
candidates = torch.rand(4, 200, generator=generator) < 0.7
bits = errors.view(torch.int32)
compare("many", bits, candidates, torch.tensor([1, 17, 60, 100]))
compare("none and all", bits[:2], candidates[:2], torch.tensor([0, int(candidates[1].sum())]))
compare("ties", (errors * 4).round().view(torch.int32), candidates, torch.tensor([3, 40, 50, 90]))
compare("largest keys", torch.full((1, 70), MAGNITUDE, dtype=torch.int32), torch.ones(1, 70, dtype=bool), torch.tensor([7]))
compare("smallest keys", torch.arange(70, dtype=torch.int32)[None], torch.ones(1, 70, dtype=bool), torch.tensor([69]))
compare("sign", bits | -2147483648, candidates, torch.tensor([5, 5, 5, 5]))
compare("nothing", bits[:0], candidates[:0], torch.zeros(0, dtype=torch.int64))
compare("one pixel", bits[:, :1], torch.ones(4, 1, dtype=bool), torch.tensor([1, 0, 1, 0]))
"""
SUMS = {
    "many": 4,
    "none and all": 1,
    "ties": 4,
    "largest keys": 1,
    "smallest keys": 1,
    "sign": 4,
    "nothing": 0,
    "one pixel": 2,
}

has_triton = importlib.util.find_spec("triton") is not None


def assert_same(device, **variables):
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, device],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = {
        name: (float(worst), float(total))
        for name, worst, total in map(lambda line: line.split(","), done.stdout.splitlines())
    }
    assert {name: worst for name, (worst, _) in found.items() if worst > 1e-7} == {}
    assert {name: total for name, (_, total) in found.items()} == pytest.approx(SUMS, rel=1e-5)


@pytest.mark.skipif(not has_triton, reason="triton is not installed")
def test_kernel_keeps_what_bisection_keeps_in_the_interpreter():
    assert_same("cpu", TRITON_INTERPRET="1")


@pytest.mark.skipif(not (has_triton and torch.cuda.is_available()), reason="needs triton and a CUDA device")
def test_kernel_keeps_what_bisection_keeps_on_the_device():
    assert_same("cuda")
