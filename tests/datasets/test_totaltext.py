import numpy as np
import pytest

from craft.datasets.totaltext import read_label_file

X, Y = [0, 10, 20, 20, 10, 0], [0, -5, 0, 10, 5, 10]
CORNERS = [list(pair) for pair in zip(X, Y, strict=True)]


def record(x=X, y=Y, text="u'curved'"):
    return f"x: [[{' '.join(map(str, x))}]], y: [[{' '.join(map(str, y))}]], ornt: [u'c'], transcriptions: [{text}]"


def test_reads_polygons_and_their_text(tmp_path):
    path = tmp_path / "poly_gt_img1.txt"
    path.write_text(record() + "\n" + record(text="u'two words, [1]'") + "\n")

    words, problems = read_label_file(path)

    assert problems == ()
    assert [word.text for word in words] == ["curved", "two words, [1]"]
    assert words[0].polygon_xy.tolist() == CORNERS
    assert [word.source for word in words] == [f"{path}:1", f"{path}:2"]


def test_a_record_may_run_over_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(record().replace("20 20 10 0]]", "20\r\n  20 10 0]]").replace(", y:", ",\n y:") + "\r\n" + record())

    words, problems = read_label_file(path)

    assert problems == ()
    assert [word.polygon_xy.tolist() for word in words] == [CORNERS, CORNERS]
    assert words[1].source == f"{path}:4"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("u'#'", None), ("u''", None), ('u"DON\'T"', "DON'T"), ("'plain'", "plain"), ("u'#1'", "#1"), ("", None)],
)
def test_a_hash_is_dont_care_and_quotes_are_taken_off(tmp_path, text, expected):
    path = tmp_path / "a.txt"
    path.write_text(record(text=text))

    (word,), problems = read_label_file(path)

    assert problems == ()
    assert word.text == expected
    assert word.dont_care == (expected is None)


def test_malformed_records_are_reported_with_their_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(
        "\n".join(
            ["1,2,3,4,text", record(x=X[:5]), record(x=[5] * 6, y=[5] * 6), record(x=["a"] * 6), "x: [[1 2]]", record()]
        )
    )

    words, problems = read_label_file(path)

    assert len(words) == 1
    assert [problem.where.rpartition(":")[2] for problem in problems] == ["1", "2", "3", "4", "5"]
    assert "5 x and 6 y coordinates" in problems[1].what
    assert "no area" in problems[2].what


def test_an_empty_file_has_no_words(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("")

    assert read_label_file(path) == ((), ())


def test_matlab_files_hold_the_same(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    table = np.empty((2, 6), dtype=object)
    for row, text in enumerate((np.array(["curved"]), np.array([]))):
        table[row] = ["x:", np.array([X], np.int16), "y:", np.array([Y], np.int16), text, np.array(["c"])]
    savemat(tmp_path / "poly_gt_img1.mat", {"polygt": table})

    words, problems = read_label_file(tmp_path / "poly_gt_img1.mat")

    assert problems == ()
    assert [word.text for word in words] == ["curved", None]
    assert words[1].dont_care
    assert words[0].polygon_xy.tolist() == CORNERS


def test_a_broken_matlab_file_is_reported(tmp_path):
    pytest.importorskip("scipy.io")
    path = tmp_path / "a.mat"
    path.write_text("nothing of the kind")

    words, (problem,) = read_label_file(path)

    assert words == ()
    assert problem.where == str(path)
