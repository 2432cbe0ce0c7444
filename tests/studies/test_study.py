from pathlib import Path

import pytest
import yaml

from craft.studies.study import (
    Run,
    load_study,
    resolve_datasets,
    run_config,
    snapshot_steps,
    study_runs,
    validate_study,
)

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("compare*.yaml"))
STUDIES = [path for path in CONFIGS if "variants" in yaml.safe_load(path.read_text(encoding="utf-8"))]


def changed(path, **changes):
    return {**yaml.safe_load(path.read_text()), **changes}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_reports_on_scenes_that_choose_no_thresholds(path):
    study = load_study(path)

    assert study.reference in study.variants
    chosen = {(one.path, one.numbers) for split in study.splits.values() for one in split.choose}
    reported = {(one.path, one.numbers) for split in study.splits.values() for one in split.report}
    assert not chosen & reported


def test_some_studies_are_shipped():
    assert {"compare", "compare_quick"} <= {path.stem for path in STUDIES}


def test_an_unknown_setting_is_refused_with_the_nearest_known_one(tiny_study_file):
    with pytest.raises(ValueError, match=r"unknown setting 'budget\.step'; did you mean 'budget\.steps'"):
        validate_study(changed(tiny_study_file, budget={"step": 3}), where="study.yaml")


def test_an_unknown_setting_inside_a_named_split_is_explained(tiny_study_file):
    splits = {"mine": {"choose": [{"path": "a"}], "report": [{"path": "a"}], "reports": []}}

    with pytest.raises(ValueError, match=r"splits\.mine\.reports'; did you mean 'splits\.mine\.report'"):
        validate_study(changed(tiny_study_file, splits=splits), where="study.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "all"}, "is not a variant"),
        ({"seeds": [1, 1]}, "repeat a seed"),
        ({"budget": {"steps": 3, "images": 4}}, "exactly one"),
        ({"budget": {}}, "exactly one"),
        ({"train": [{"path": "synth:mine"}]}, "is not under synth"),
        ({"name": "../up"}, "cannot be the name of a folder"),
    ],
)
def test_inconsistent_studies_are_refused(tiny_study_file, changes, message):
    with pytest.raises(ValueError, match=message):
        validate_study(changed(tiny_study_file, **changes), where="study.yaml")


def test_a_variants_setting_without_effect_is_refused(tiny_study_file):
    with pytest.raises(ValueError, match=r"variant none: ohem\.ratio has no effect"):
        load_study(tiny_study_file, overrides=["variants.none.ohem.ratio=3"])


def test_configurations_of_one_seed_differ_in_the_variants_settings_alone(tiny_study, tmp_path):
    one = run_config(tiny_study, Run("hardest-3", 2), tmp_path, steps=6).model_dump()
    other = run_config(tiny_study, Run("none", 2), tmp_path, steps=6).model_dump()

    assert one["training"]["seed"] == 2
    assert {key for key in one if one[key] != other[key]} == {"ohem"}


def test_the_last_step_is_validated_where_points_do_not_divide_the_steps(tiny_study, tmp_path):
    assert run_config(tiny_study, Run("none", 1), tmp_path, steps=7).training.validate_every == 4  # for two points


def test_runs_are_ordered_by_seed(tiny_study):
    assert [run.name for run in study_runs(tiny_study)][:3] == [
        "hardest-3, seed 1",
        "none, seed 1",
        "hardest-3, seed 2",
    ]


def test_synthetic_sets_are_read_from_the_studys_folder(tiny_study_file, tmp_path):
    changes = {"train": [{"path": "synth:mine"}], "synth": {"mine": {"count": 3, "seed": 1}}}
    study = validate_study(changed(tiny_study_file, **changes), where="study.yaml")

    (one,) = resolve_datasets(study.train, tmp_path)

    assert one.path == str(tmp_path / "synth" / "mine" / "scenes.jsonl")


def test_a_variants_own_datasets_replace_the_studys(tiny_study_file, tmp_path):
    overrides = ["synth.mine={count: 3, seed: 1}", "variants.own={data: {train: [{path: 'synth:mine', weight: 2}]}}"]
    study = load_study(tiny_study_file, overrides=overrides)

    (one,) = run_config(study, Run("own", 1), tmp_path, steps=6).data.train

    assert one.path == str(tmp_path / "synth" / "mine" / "scenes.jsonl")
    assert one.weight == 2
    assert run_config(study, Run("none", 1), tmp_path, steps=6).data.train == study.train


def test_a_variants_dataset_that_nobody_renders_is_refused(tiny_study_file):
    with pytest.raises(ValueError, match="variant own: path synth:mine is not under synth, which has none"):
        load_study(tiny_study_file, overrides=["variants.own={data: {train: [{path: 'synth:mine'}]}}"])


def test_snapshots_of_short_runs_are_distinct():
    assert snapshot_steps(1) == [1]
    assert snapshot_steps(3) == [1, 2, 3]
    assert snapshot_steps(100) == [10, 25, 50, 75, 100]
