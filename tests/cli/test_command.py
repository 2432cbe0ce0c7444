"""The command line as a whole: suggestions, paths, output that cannot be written or shown."""

import io
import os
import sys

import pytest

from craft.cli.command import main


def run(arguments, capsys):
    """Exit status and standard error of a call."""
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    return status, capsys.readouterr().err


def test_a_misspelled_verb_is_suggested(capsys):
    status, error = run(["trian", "x"], capsys)

    assert status == 2
    assert "unknown verb 'trian'; did you mean 'train'?" in error


OUTPUTS = {
    "synth": ["synth", "--preset", "quickstart", "--count", "1", "--out"],
    "sheet": ["synth", "--preset", "quickstart", "--count", "1", "--sheet"],
    "show": ["show", "folder", "--out"],
    "label": ["label", "folder", "--weights", "small", "--out"],
    "pack": ["pack", "folder", "--out"],
    "train": ["train", "config.yaml", "--out"],
    "bench": ["bench", "config.yaml", "--out"],
    "compare": ["compare", "study.yaml", "--out"],
    "convert": ["convert", "small"],
    "detect": ["detect", "image.png", "--out"],
    "per image": ["evaluate", "--truth", "x", "--protocol", "icdar2015", "--detections", "y", "--per-image"],
    "failures": ["evaluate", "--truth", "x", "--protocol", "icdar2015", "--detections", "y", "--failures"],
    "maps": ["evaluate", "--truth", "x", "--protocol", "icdar2015", "--sweep", "--maps"],
}


@pytest.mark.parametrize("arguments", OUTPUTS.values(), ids=OUTPUTS)
def test_output_below_a_file_is_refused_before_any_work(arguments, tmp_path, capsys):
    (tmp_path / "file").write_text("x")

    status, error = run([*arguments, str(tmp_path / "file" / "below")], capsys)

    assert status == 2
    assert "is a file" in error
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("arguments", OUTPUTS.values(), ids=OUTPUTS)
def test_output_in_a_read_only_folder_is_refused_before_any_work(arguments, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)

    status, error = run([*arguments, str(locked / "new" / "name")], capsys)

    assert status == 2
    assert "not writable" in error


def test_a_tilde_that_the_shell_left_is_the_home_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    status, _ = run(["synth", "--preset", "quickstart", "--count", "1", "--out=~/scenes"], capsys)

    assert status == 0
    assert (tmp_path / "home" / "scenes").is_dir()
    assert not (tmp_path / "~").exists()


def test_a_name_that_the_output_cannot_show_is_printed_with_escapes(tmp_path, monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", output)

    status = main(["synth", "--preset", "quickstart", "--count", "1", "--out", str(tmp_path / "\u5e97")])

    output.flush()
    assert status == 0
    assert b"\\u5e97" in output.buffer.getvalue()


def test_a_disk_error_is_one_line_without_a_traceback(tmp_path, monkeypatch, capsys):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device", "scenes/img_1.jpg")

    monkeypatch.setattr("craft.cli.datasets._synth", full)

    status, error = run(["synth", "--out", str(tmp_path / "scenes")], capsys)

    assert status == 2
    assert error == "craft synth: scenes/img_1.jpg: No space left on device\n"
