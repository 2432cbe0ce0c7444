"""What `craft doctor` and `craft --version` say."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import craft
from craft import installation
from craft.cli.command import main
from craft.installation import describe_installation, version_line
from tests.test_floors import run_craft

ROOT = Path(__file__).parent.parent


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


def test_no_file_imports_what_windows_lacks_when_it_is_imported():
    lacking = {"fcntl", "grp", "pwd", "resource", "termios", "tty"}
    found = []
    for path in Path(craft.__file__).parent.rglob("*.py"):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Import):
                found += [(path.name, alias.name) for alias in statement.names if alias.name in lacking]
            elif isinstance(statement, ast.ImportFrom) and statement.module in lacking:
                found.append((path.name, statement.module))

    assert found == []


def test_container_file_takes_only_what_exists_and_make_says_where_docker_is_missing(tmp_path):
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    names = [name for names in copied for name in names.split()]

    assert names
    assert all((ROOT / name).exists() and f"!{name}" in sent for name in names)
    for tool in ("make", "sh", "bash", "echo"):  # all of PATH but docker
        (tmp_path / tool).symlink_to(shutil.which(tool))
    done = subprocess.run(
        [tmp_path / "make", "container"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "needs docker" in done.stdout
