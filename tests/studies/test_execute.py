import pytest

from craft.studies.compare import compare
from craft.studies.execute import default_jobs, last_line
from craft.studies.study import load_study


def small(path, *more):
    overrides = ["variants.none.weights=nowhere.pth", "seeds=[1]", "view.scenes=0", "budget={images: 2}", *more]
    return load_study(path, overrides=overrides)


@pytest.mark.slow
def test_processes_do_the_runs_and_report_failures(tiny_study_file, tmp_path):
    comparison = compare(small(tiny_study_file), tmp_path / "out", executor="processes", jobs=2)

    assert comparison.num_done == 1
    assert [failure.run.variant for failure in comparison.failures] == ["none"]
    assert "nowhere.pth" in comparison.failures[0].reason


@pytest.mark.slow
def test_ray_does_the_runs_and_reports_failures(tiny_study_file, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        comparison = compare(small(tiny_study_file), tmp_path / "out", executor="ray")
    finally:
        ray.shutdown()

    assert comparison.num_done == 1
    assert [failure.run.variant for failure in comparison.failures] == ["none"]
    assert "nowhere.pth" in comparison.failures[0].reason


@pytest.mark.slow
def test_a_budget_in_seconds_is_turned_into_steps_once(tiny_study_file, tmp_path):
    study = small(tiny_study_file, "variants.none.weights=null", "budget={seconds: 0.2, images: null}")

    compare(study, tmp_path / "out", executor="inline")
    timed = {path: path.read_text() for path in (tmp_path / "out" / "timing").glob("*.json")}
    compare(study, tmp_path / "out", executor="inline")

    assert sorted(path.stem for path in timed) == ["hardest-3", "none"]
    assert timed == {path: path.read_text() for path in timed}


def test_at_least_one_run_is_done_at_a_time():
    assert default_jobs(10_000) == 1
    assert default_jobs(None) >= 1


def test_the_last_line_of_a_log_skips_blank_lines_and_progress_bars(tmp_path):
    (tmp_path / "log.txt").write_text("train: 10 %\rtrain: 20 %\nnone, seed 1: no such file\n\n")

    assert last_line(tmp_path / "log.txt") == "none, seed 1: no such file"


def test_an_empty_log_has_a_line_that_says_so(tmp_path):
    (tmp_path / "log.txt").write_text("")

    assert last_line(tmp_path / "log.txt") == "it ended without printing anything"
