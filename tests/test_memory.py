"""A process keeps the memory it frees if it asks to, and reports its peak in bytes."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from craft.detection.detector import Detector
from craft.memory import peak_memory_bytes

PROGRAM = """
import resource, sys
import numpy as np
from craft.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
images = [np.ones((768, 768, 3), np.uint8) for _ in range(3)]  # what the heap grows to
del images
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    images = [np.ones((768, 768, 3), np.uint8) for _ in range(3)]
    del images
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives freed memory back at once")
def test_freed_pages_are_not_faulted_in_again():
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True).stdout)

    assert faults("keep") < 0.2 * faults("as it is")


def test_peak_memory_grows_by_the_bytes_of_an_array():
    before = peak_memory_bytes()

    block = np.ones(before + 50_000_000, dtype=np.uint8)  # larger than all that was held before

    assert peak_memory_bytes() >= len(block)


def test_a_detector_bounds_what_its_process_keeps_per_image_size_and_leaves_the_users_limits(monkeypatch):
    monkeypatch.setenv("LRU_CACHE_CAPACITY", "7")
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "")
    del os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]

    Detector.from_weights("small", device="cpu")

    assert (os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"], os.environ["LRU_CACHE_CAPACITY"]) == ("64", "7")
