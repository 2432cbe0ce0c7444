import csv
import json
import re

import pytest

from craft.studies.collect import choose_thresholds, collect, steps_to_reach
from craft.studies.report import render_page, write_report


def page_values(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))


def test_the_page_is_one_file_that_loads_nothing_from_the_network(finished_study):
    text = (finished_study / "report.html").read_text(encoding="utf-8")

    assert not re.findall(r'(?:src|href)\s*=\s*["\']?(?!data:)[^"\'> ]', text.split('id="data">')[0])
    assert "@import" not in text
    assert not re.findall(r"(?:fetch|XMLHttpRequest|import)\(", text)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "{{" not in text


def test_a_title_cannot_break_out_of_the_page(finished_study):
    text = (finished_study / "report.html").read_text(encoding="utf-8")

    assert "<h1>Does &lt;/script&gt; &amp; co. matter?</h1>" in text
    assert page_values(finished_study / "report.html")["title"] == "Does </script> & co. matter?"


def test_the_report_can_be_written_again_from_the_folder_alone(finished_study):
    page, table = finished_study / "report.html", finished_study / "table.csv"
    before = page.read_bytes(), table.read_bytes()
    page.unlink()
    table.unlink()

    comparison = write_report(finished_study)

    assert (page.read_bytes(), table.read_bytes()) == before
    assert comparison.num_done == 4


def test_the_table_has_a_line_per_split_policy_and_variant(finished_study):
    with open(finished_study / "table.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [(row["split"], row["thresholds"], row["variant"], row["seeds"]) for row in rows] == [
        ("tiny", "shared", "hardest-3", "2"),
        ("tiny", "shared", "none", "2"),
        ("tiny", "own", "hardest-3", "2"),
        ("tiny", "own", "none", "2"),
    ]
    assert rows[0]["difference"] == ""
    assert rows[1]["clean_scenes"] != ""


def test_the_markdown_report_states_what_a_reader_needs_to_judge_the_table(finished_study):
    text = (finished_study / "report.md").read_text(encoding="utf-8")

    for said in (
        "IoU > 0.5",
        "seeds 1, 2",
        "3 scenes with 5 words",
        "digests agree",
        "ohem.rule: hardest, ohem.ratio: 3",
    ):
        assert said in text
    for figure in ("hmean.png", "curves.png", "places.png"):
        assert f"({figure})" in text
        assert (finished_study / figure).stat().st_size > 5000


def test_thresholds_depend_only_on_the_scenes_for_choosing(finished_study):
    results = collect(finished_study)
    shared = choose_thresholds(results.study, results.runs, "tiny", "shared")
    for one in results.runs:
        one.scores["tiny/report"].counts[:] = 0

    assert choose_thresholds(results.study, results.runs, "tiny", "shared") == shared
    assert len(set(shared.values())) == 1


def test_the_steps_to_reach_an_hmean_are_those_of_the_first_validation_that_reaches_it(finished_study):
    result = collect(finished_study).runs[0]
    result.validation[:] = [{"step": 3, "hmean": 0.1}, {"step": 6, "hmean": 0.3}, {"step": 9, "hmean": 0.2}]

    assert steps_to_reach(result, 0.2) == 6
    assert steps_to_reach(result, 0.5) is None


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no study"):
        write_report(tmp_path)


def test_numbers_that_are_not_finite_are_never_written(finished_study):
    with pytest.raises(ValueError, match="JSON"):
        render_page({"title": "x", "value": float("nan")})
