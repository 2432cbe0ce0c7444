import fcntl
import shutil
import subprocess
import sys
import time
from itertools import islice

import pytest

from craft.datasets.loader import build_loader
from craft.studies.collect import collect, fairness
from craft.studies.compare import compare
from craft.studies.study import Run, load_study, run_config, study_runs
from craft.training.batch import batch_digest
from craft.training.datasets import read_training_datasets


def first_batches(study, run, out):
    config = run_config(study, run, out, steps=4)
    datasets = read_training_datasets(config.data, echo=lambda _message: None)
    loader = build_loader(
        [(dataset.scenes, dataset.weight) for dataset in datasets],
        seed=config.training.seed,
        crop_size=config.data.crop_size,
        augment=config.augment,
        batch_size=config.training.batch_size,
        workers=0,
        start_position=0,
    )
    return [batch_digest(batch) for batch in islice(loader, 4)]


def test_batches_are_the_same_for_all_variants_of_a_seed_and_differ_between_seeds(tiny_study, tmp_path):
    digests = {run: first_batches(tiny_study, run, tmp_path) for run in study_runs(tiny_study)}

    assert digests[Run("hardest-3", 1)] == digests[Run("none", 1)]
    assert digests[Run("hardest-3", 2)] == digests[Run("none", 2)]
    assert not set(digests[Run("none", 1)]) & set(digests[Run("none", 2)])


def test_runs_log_the_same_initial_weights_and_batches(finished_study):
    results = collect(finished_study)

    assert fairness(results) == {seed: {"weights": True, "first": True, "last": True} for seed in (1, 2)}
    assert len({result.weights for result in results.runs}) == 2
    assert len({digest for result in results.runs for digest in result.batches}) == 4


@pytest.mark.parametrize("name", ["run.json", "scores.npz", "probe.json"])
def test_a_damaged_run_is_reported_as_missing(finished_study, tmp_path, name):
    out = shutil.copytree(finished_study, tmp_path / "out")
    path = Run("none", 2).folder(out) / name
    path.write_bytes(path.read_bytes()[:-20])

    results = collect(out)

    assert len(results.runs) == 3
    assert "cannot be read" in results.missing[Run("none", 2)]


def test_a_finished_study_does_no_run_again(tiny_study, finished_study):
    before = {path: path.stat().st_mtime_ns for path in finished_study.rglob("run.json")}

    comparison = compare(tiny_study, finished_study, executor="inline")

    assert comparison.num_done == 4
    assert before == {path: path.stat().st_mtime_ns for path in finished_study.rglob("run.json")}


@pytest.mark.slow
def test_a_study_killed_half_way_ends_with_the_same_table(tiny_study, tiny_study_file, finished_study, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "craft", "compare", str(tiny_study_file), "--out", str(out), "--jobs", "1"]
    first = Run("hardest-3", 1).folder(out)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (first / "last.pt").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert len(list(out.rglob("run.json"))) < 4
    with open(first / "lock", "w") as lock:  # the run notices that its parent is gone, and ends
        fcntl.flock(lock, fcntl.LOCK_EX)

    comparison = compare(tiny_study, out, executor="inline")

    assert comparison.num_done == 4
    assert (out / "table.csv").read_text() == (finished_study / "table.csv").read_text()


@pytest.mark.slow
def test_a_failed_run_is_reported_and_the_others_go_on(tiny_study_file, tmp_path):
    study = load_study(
        tiny_study_file,
        overrides=["variants.none.weights=nowhere.pth", "seeds=[1]", "view.scenes=0", "budget={images: 2}"],
    )

    comparison = compare(study, tmp_path / "out", executor="inline")

    assert [failure.run.name for failure in comparison.failures] == ["none, seed 1"]
    assert "nowhere.pth" in comparison.failures[0].reason
    assert comparison.num_done == 1
    assert "Missing runs" in (tmp_path / "out" / "report.md").read_text()
    assert "nowhere.pth" in (tmp_path / "out" / "report.md").read_text()


def test_a_folder_of_another_study_is_refused(tiny_study_file, finished_study):
    study = load_study(tiny_study_file, overrides=["budget.images=20"])

    with pytest.raises(ValueError, match=r"other settings \(budget\); choose another --out"):
        compare(study, finished_study, executor="inline")


def test_missing_scenes_are_refused_before_any_training(tiny_study_file, tmp_path):
    study = load_study(tiny_study_file, overrides=["splits.tiny.report.0.path=nowhere"])

    with pytest.raises(ValueError, match="nowhere"):
        compare(study, tmp_path / "out", executor="inline")

    assert not (tmp_path / "out" / "runs").exists()
