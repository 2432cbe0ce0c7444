"""Freed memory stays with a process that asked for that."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from craft.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
pictures = [np.ones((768, 768, 3), np.uint8) for _ in range(3)]  # what the heap grows to
del pictures
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    pictures = [np.ones((768, 768, 3), np.uint8) for _ in range(3)]
    del pictures
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives freed memory back at once")
def test_pages_are_not_asked_for_again():
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True).stdout)

    assert faults("keep") < 0.2 * faults("as it is")
