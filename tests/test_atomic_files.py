"""A file is the old one or the new one, never half of one."""

import os

import pytest

from craft.atomic_files import open_atomic, write_atomic


@pytest.mark.parametrize("content", [b"\x00new", "new, with ä"])
def test_content_takes_the_place_of_the_old_and_nothing_is_left_beside_it(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    write_atomic(path, content)

    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("shared", [False, True])
def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path, shared):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half():
        with open_atomic(path, shared=shared) as file:
            file.write(b"half")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        write_half()

    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_old_file_stands_until_the_block_ends(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    with open_atomic(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(("durable", "syncs"), [(True, 1), (False, 0)])
def test_only_durable_files_wait_for_the_disk(tmp_path, monkeypatch, durable, syncs):
    calls = []
    monkeypatch.setattr("os.fsync", calls.append)

    write_atomic(tmp_path / "file", b"new", durable=durable)

    assert len(calls) == syncs
    assert (tmp_path / "file").read_bytes() == b"new"
