"""Compiled kernels are kept in the user's cache folder, not beside the code that pip removes."""

import os
import subprocess
import sys

import numba
import pytest

from craft.kernels import cache_folder, njit

PROGRAM = """
import craft.kernels

@craft.kernels.njit(cache=True)
def double(number):
    return 2 * number

if __name__ == "__main__":
    assert double(21) == 42
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the folder is named by LOCALAPPDATA there")
def test_nothing_is_left_beside_the_code(tmp_path):
    program, cache = tmp_path / "code" / "program.py", tmp_path / "cache"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(cache), "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}

    subprocess.run([sys.executable, str(program)], env=environment, check=True)

    assert [path.name for path in program.parent.rglob("*")] == ["program.py"]
    assert list(tmp_path.rglob("*.nbc"))
    if sys.platform == "linux":
        assert list((cache / "craft-ohem").rglob("*.nbc"))


def test_a_folder_of_the_users_own_stays_and_others_kernels_are_not_moved(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(numba, "njit", lambda **_options: lambda _function: asked.append(numba.config.CACHE_DIR))

    njit(cache=True)(print)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    njit(cache=True)(print)

    assert asked == [str(cache_folder()), str(tmp_path)]
    assert str(tmp_path) == numba.config.CACHE_DIR
