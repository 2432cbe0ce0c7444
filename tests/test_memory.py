"""A process keeps the memory it frees if it asks to, and reports its peak in bytes."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from craft import memory
from craft.detection.detector import Detector
from craft.memory import peak_memory_bytes

UNLIMITED = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}

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


DETECTION = """
import resource, sys
import numpy as np
from craft import memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20

if sys.argv[1] == "reuse":
    memory.bound_memory_of_sizes()
    memory.reuse_features(1 << 20)
memory._MOST_FREE_BYTES = 200 << 20
for _ in range(3):  # features of an image, freed in the order in which layers free them
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    features = [np.ones(60 << 20, np.uint8), np.ones(40 << 20, np.uint8)]
    del features[0]
    del features
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
kept = resident()
memory.release_freed_memory()
less = resident()
larger, later = np.ones(300 << 20, np.uint8), np.ones(1 << 20, np.uint8)  # frees a hole below `later`
del larger
memory.release_freed_memory()
print(faults, kept - less, resident())
"""


@pytest.mark.skipif(memory._free_bytes() is None, reason="only glibc from 2.33 says what it holds")
def test_features_of_the_next_image_reuse_memory_until_too_much_is_free():
    def measure(how: str) -> list[int]:
        run = subprocess.run([sys.executable, "-c", DETECTION, how], check=True, capture_output=True, env=UNLIMITED)
        return [int(value) for value in run.stdout.split()]

    faults, released, at_the_end = measure("reuse")
    faults_before, _, at_the_end_before = measure("as it is")

    assert faults < 0.2 * faults_before
    assert released < 10  # 100 MiB are free, less than the limit
    assert at_the_end < at_the_end_before + 50  # of the 400 MiB that were free


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
