"""What `craft doctor` and `craft --version` say."""

import sys

import pytest

from craft import installation
from craft.cli.command import main
from craft.installation import describe_installation, version_line
from tests.test_floors import run_craft


def test_the_version_names_torch_device_and_weights(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])

    assert left.value.code == 0
    line = capsys.readouterr().out.strip()
    assert line == version_line()
    assert line.startswith("craft ")
    assert "torch " in line
    assert "weights: small" in line


def test_doctor_names_what_a_question_needs(capsys):
    main(["doctor"])

    said = capsys.readouterr().out
    for name in ("craft", "python", "system", "device", "packages", "weights", "kernel cache"):
        assert f"\n{name} " in f"\n{said}"


def test_doctor_runs_where_torch_cannot_be_imported_and_says_so(tmp_path):
    result = run_craft(["doctor"], tmp_path)

    assert result.returncode == 1, result.stderr
    assert "fault: torch cannot be imported" in result.stdout


def test_two_owners_of_cv2_and_a_folder_that_cannot_be_written_are_faults(monkeypatch, tmp_path):
    class Distribution:
        def __init__(self, name):
            self.name = name

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        installation, "distributions", lambda: [Distribution("opencv-python"), Distribution("opencv-python-headless")]
    )
    monkeypatch.setattr(installation.os, "access", lambda *_arguments: False)

    faults = "\n".join(describe_installation().faults)

    assert "opencv-python and opencv-python-headless share one folder cv2" in faults
    assert "for the cache of compiled kernels, cannot be written" in faults


def test_the_shell_gets_its_completions_from_argcomplete(monkeypatch):
    class Asked(Exception):
        pass

    class Completer:
        @staticmethod
        def autocomplete(parser):
            raise Asked(parser.prog)

    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", Completer)

    with pytest.raises(Asked, match="craft"):
        main(["detect"])
