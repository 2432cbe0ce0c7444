"""Progress bars that are written to a file."""

import io

from tqdm import tqdm

from craft.cli.command import main
from craft.cli.log_lines import LogStream


def test_bars_in_a_file_are_lines_in_the_order_of_their_states():
    file = io.StringIO()
    stream = LogStream(file)

    with tqdm(total=2, desc="train", file=stream, mininterval=0, ncols=60) as bar:
        bar.update()
        for _ in tqdm(range(1), desc="validate", file=stream, mininterval=0, leave=False):
            pass
        tqdm.write("step 1: H-mean 0.5", file=stream)
        bar.update()
    print("done", file=stream)

    lines = file.getvalue().split("\n")
    assert lines[-1] == ""
    assert [line.split()[0] for line in lines[:-1] if "train" not in line and "validate" not in line] == [
        "step",
        "done",
    ]
    assert [line.startswith(("train:", "validate:", "step", "done")) for line in lines[:-1]] == [True] * (
        len(lines) - 1
    )
    assert not any(mark in file.getvalue() for mark in ("\r", "\x1b"))
    assert "2/2" in lines[-3]


def test_text_that_is_no_bar_is_left_as_it_is():
    file = io.StringIO()
    stream = LogStream(file)

    for text in ("Traceback:\n", "  a line", "\n", "half", "\rtrain: 5%", "\n", "end\n"):
        assert stream.write(text) == len(text)

    assert file.getvalue() == "Traceback:\n  a line\nhalf\ntrain: 5%\nend\n"


def test_a_verb_whose_output_is_no_terminal_writes_its_bars_as_lines(tmp_path, capsys):
    assert main(["synth", "--preset", "quickstart", "--count", "2", "--out", str(tmp_path / "scenes")]) == 0

    said = capsys.readouterr().err
    assert "2/2" in said
    assert "\r" not in said
