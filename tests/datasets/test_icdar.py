import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from craft.datasets.icdar import parse_line, read_label_file, script_remarks
from craft.errors import Problem
from craft.geometry import signed_area

SQUARE = "0,0,10,0,10,10,0,10"
CORNERS = [[0, 0], [10, 0], [10, 10], [0, 10]]


def word_or_error(line, format):
    try:
        return parse_line(line, format=format)
    except Problem as error:
        return error


def test_2015_text_is_all_after_the_eighth_comma():
    word = parse_line(SQUARE + ",Hello, world, 1", format="icdar2015", source="gt.txt:3")

    assert word.text == "Hello, world, 1"
    assert word.script == ""
    assert not word.dont_care
    assert word.source == "gt.txt:3"
    assert word.polygon_xy.dtype == np.float32
    assert word.polygon_xy.tolist() == CORNERS


@pytest.mark.parametrize("format", ["icdar2017", "icdar2019"])
def test_2017_and_2019_text_is_all_after_the_ninth_comma(format):
    word = parse_line(SQUARE + ",Latin,1,000,000", format=format)

    assert word.text == "1,000,000"
    assert word.script == "Latin"


@pytest.mark.parametrize(
    "line",
    [
        '158,128,411,181,"Foot path"',
        '158, 128, 411, 181, "Foot path"',
        '158 128 411 181 "Foot path"',
        "158 128 411 181 Foot path",
        '  158\t128  411 181   "Foot path"  ',
    ],
)
def test_2013_boxes_are_comma_or_space_separated(line):
    word = parse_line(line, format="icdar2013")

    assert word.text == "Foot path"
    assert word.polygon_xy.tolist() == [[158, 128], [411, 128], [411, 181], [158, 181]]


@pytest.mark.parametrize(
    ("line", "format"),
    [
        ("20,24,60,20,110,20,150,24,150,54,110,50,60,50,20,54,MARKET", "icdar2015"),
        ("20,24,60,20,110,20,150,24,150,54,110,50,MARKET", "icdar2015"),
        ("20,24,60,20,110,20,150,24,150,54,110,50,60,50,20,54", "icdar2015"),
        ("20,24,60,20,110,20,150,24,150,54,110,50,60,50,20,54,Latin,MARKET", "icdar2017"),
        ("0,0,10,8,10,10,0,10,text", "icdar2013"),
    ],
)
def test_a_polygon_is_refused_where_quads_or_boxes_are_wanted(line, format):
    error = word_or_error(line, format)

    assert isinstance(error, Problem)
    assert "numbers before the text" in error.what


@pytest.mark.parametrize("text", ["1,000,000,000", "9,50", "3,14,Pi", "020,7946,0018,2"])
def test_numbers_that_are_no_corners_are_text(text):
    assert parse_line("500,600,540,600,540,620,500,620," + text, format="icdar2015").text == text


def test_2013_quotes_are_taken_off_once_and_escapes_undone():
    assert parse_line(r'0 0 9 9 "say \"yes\""', format="icdar2013").text == 'say "yes"'
    assert parse_line('0 0 9 9 "a", "b"', format="icdar2013").text == 'a", "b'
    assert parse_line('0, 0, 9, 9, "1,2"', format="icdar2013").text == "1,2"


def test_quotes_belong_to_the_text_in_the_other_formats():
    assert parse_line(SQUARE + ',"SCAN"', format="icdar2015").text == '"SCAN"'
    assert parse_line(SQUARE + ',Latin,"a, b"', format="icdar2017").text == '"a, b"'


@pytest.mark.parametrize(
    ("line", "format"),
    [
        (SQUARE + ",###", "icdar2015"),
        (SQUARE + ",", "icdar2015"),
        (SQUARE + ",  ", "icdar2015"),
        (SQUARE + ',"###"', "icdar2015"),
        (SQUARE + ",None,###", "icdar2017"),
        (SQUARE + ",Latin,", "icdar2017"),
        ('0 0 9 9 "###"', "icdar2013"),
        ('0,0,9,9,""', "icdar2013"),
        ("0,0,9,9,", "icdar2013"),
    ],
)
def test_without_a_transcription_a_word_is_dont_care(line, format):
    word = parse_line(line, format=format)

    assert word.dont_care
    assert word.text is None
    assert word.script in ("", "Latin")


def test_text_that_only_contains_hashes_is_read():
    assert not parse_line(SQUARE + ",### 1", format="icdar2015").dont_care
    assert not parse_line(SQUARE + ",#", format="icdar2015").dont_care


def test_a_counter_clockwise_quad_is_reversed_around_its_first_corner():
    word = parse_line("0,0,0,10,10,10,10,0,text", format="icdar2015")

    assert word.polygon_xy.tolist() == CORNERS


def test_a_quad_that_starts_elsewhere_keeps_its_start():
    word = parse_line("10,10,0,10,0,0,10,0,text", format="icdar2015")

    assert word.polygon_xy.tolist() == [[10, 10], [0, 10], [0, 0], [10, 0]]


def test_fractions_negative_numbers_and_spaces_are_coordinates():
    word = parse_line("-1.5, 0,+10.25,.5,1e1,10,0,10.,text", format="icdar2015")

    assert word.polygon_xy.tolist() == [[-1.5, 0], [10.25, 0.5], [10, 10], [0, 10]]


@pytest.mark.parametrize(
    ("line", "format", "message"),
    [
        (SQUARE, "icdar2015", r"8 fields .*wanted 9; write the line as x1,y1,.*###"),
        ("0,0,10,0", "icdar2015", "4 fields"),
        (SQUARE + ",text", "icdar2017", "9 fields .*wanted 10; .*set format: icdar2015"),
        ("0,0,10,10,text", "icdar2015", "5 fields .*set format: icdar2013"),
        ("0 0 10", "icdar2013", "3 fields"),
        ("0,0,1O,0,10,10,0,10,text", "icdar2015", "coordinate 3 is '1O', not a number"),
        ("0,0,nan,0,10,10,0,10,text", "icdar2015", "coordinate 3 is 'nan'"),
        ("0,0,1_0,0,10,10,0,10,text", "icdar2015", "coordinate 3 is '1_0'"),
        ("0,0,,0,10,10,0,10,text", "icdar2015", "coordinate 3 is ''"),
        ("0,0,1e9,0,10,10,0,10,text", "icdar2015", "not finite or beyond"),
        ("0,0,1e999,0,10,10,0,10,text", "icdar2015", "not finite or beyond"),
        ("5,5,5,5,5,5,5,5,text", "icdar2015", "word has no area"),
        ("0,0,10,10,20,20,30,30,text", "icdar2015", "word has no area"),
        ("0,0,10,10,10,0,0,10,text", "icdar2015", "word's sides cross"),
        ("0,0,20,10,10,0,0,10,text", "icdar2015", "word's sides cross"),
        ('10 0 0 10 "text"', "icdar2013", "no area or its corners are swapped; write left, top, right, bottom"),
        ('0 0 10 0 "text"', "icdar2013", "no area"),
    ],
)
def test_a_malformed_line_is_refused_with_what_and_remedy(line, format, message):
    with pytest.raises(Problem, match=message) as caught:
        parse_line(line, format=format)

    assert caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last_end", [True, False])
def test_reads_files_with_any_line_end_and_a_mark_only_where_there_is_one(tmp_path, start, end, last_end):
    path = tmp_path / "gt_img_1.txt"
    lines = [SQUARE + ",first", "", "   ", "1,1,11,1,11,11,1,11,Straße 5, zweite"]
    path.write_bytes((start + end.join(lines) + (end if last_end else "")).encode())

    words, problems = read_label_file(path, format="icdar2015")

    assert problems == ()
    assert [word.text for word in words] == ["first", "Straße 5, zweite"]
    assert words[0].polygon_xy.tolist() == CORNERS
    assert [word.source for word in words] == [f"{path}:1", f"{path}:4"]


def test_unicode_separators_inside_a_text_do_not_end_the_line(tmp_path):
    path = tmp_path / "gt_img_1.txt"
    path.write_text(SQUARE + ",one\u2028two\x85three\x0cfour", encoding="utf-8")

    words, problems = read_label_file(path, format="icdar2015")

    assert problems == ()
    assert len(words) == 1


def test_an_empty_file_is_a_scene_without_words(tmp_path):
    path = tmp_path / "gt_img_1.txt"
    for content in (b"", b"\xef\xbb\xbf", b"\r\n\r\n"):
        path.write_bytes(content)

        assert read_label_file(path, format="icdar2015") == ((), ())


def test_bad_lines_are_reported_and_the_others_read(tmp_path):
    path = tmp_path / "gt_img_1.txt"
    path.write_text(f"{SQUARE},good\nnonsense\n5,5,5,5,5,5,5,5,point\n{SQUARE},also good\n", encoding="utf-8")

    words, problems = read_label_file(path, format="icdar2015")

    assert [word.text for word in words] == ["good", "also good"]
    assert [problem.where for problem in problems] == [f"{path}:2", f"{path}:3"]
    assert all(problem.fatal and problem.what and problem.remedy for problem in problems)


def test_a_file_that_is_not_utf8_is_reported_with_its_line(tmp_path):
    path = tmp_path / "gt_img_1.txt"
    path.write_bytes(f"{SQUARE},good\n{SQUARE},Stra".encode() + b"\xdfe\n")

    words, problems = read_label_file(path, format="icdar2015")

    assert words == ()
    assert str(problems[0]) == f"{path}:2: label file is not UTF-8 (byte 0xdf); save the file as UTF-8"


def test_an_unknown_script_gets_one_remark_at_its_first_word():
    words = [
        parse_line(SQUARE + f",{script},text", format="icdar2017", source=f"gt.txt:{line}")
        for line, script in enumerate(["Latin", "hello", "hello", "Bangla"], 1)
    ]

    remarks = script_remarks(words, format="icdar2017")

    assert [remark.where for remark in remarks] == ["gt.txt:2"]
    assert not remarks[0].fatal


def test_2017_labels_read_as_2015_get_a_remark():
    lines = [SQUARE + ",Latin,one", SQUARE + ",None,###", SQUARE + ",Arabic,two"]

    (remark,) = script_remarks([parse_line(line, format="icdar2015") for line in lines], format="icdar2015")

    assert "format: icdar2017" in remark.remedy
    assert script_remarks([parse_line(SQUARE + ",Latin", format="icdar2015")], format="icdar2015") == []
    assert script_remarks([], format="icdar2015") == []


@settings(max_examples=150, deadline=None)
@given(
    corners=st.lists(st.tuples(st.integers(-50, 2000), st.integers(-50, 2000)), min_size=4, max_size=4),
    text=st.text(string.printable.replace("\r", "").replace("\n", "") + "日本é،", max_size=20),
)
def test_every_line_gives_a_clockwise_word_with_its_text_or_an_explained_error(corners, text):
    line = ",".join(f"{x},{y}" for x, y in corners) + ",Latin," + text

    word = word_or_error(line, "icdar2017")
    if isinstance(word, Problem):
        assert "no area" in word.what or "cross" in word.what
        return

    assert signed_area(word.polygon_xy) > 0
    assert word.polygon_xy[0].tolist() == list(corners[0])
    assert (word.text or "") == ("" if text.strip() in ("###", '"###"', '""') else text.strip())
    assert word.dont_care == (word.text is None)


@settings(max_examples=200, deadline=None)
@given(
    line=st.text(string.digits + '.,-+e "#ab', max_size=60),
    format=st.sampled_from(["icdar2013", "icdar2015", "icdar2017"]),
)
def test_no_line_fails_unexplained(line, format):
    word = word_or_error(line, format)

    if isinstance(word, Problem):
        assert word.what
        assert word.remedy
    else:
        assert signed_area(word.polygon_xy) > 0


@pytest.mark.parametrize("line", ["10,10,10,20,a", "10,10,20,10,a"])
def test_a_2013_box_without_area_is_told_from_crossing_sides(line):
    with pytest.raises(Problem, match="box from"):
        parse_line(line, format="icdar2013")


@pytest.mark.parametrize("text", ["\u200b", "\u200b\u200d\ufeff", "\0", " \u200e "])
def test_a_text_of_nothing_visible_is_no_text(text):
    word = parse_line(f"1,1,11,1,11,11,1,11,{text}", format="icdar2015")

    assert (word.text, word.dont_care) == (None, True)
