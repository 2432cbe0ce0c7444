"""A study of the region head: with and without it, scored as detection would."""

import json

import numpy as np
import pytest
import torch
import yaml

from craft.models.weights import save_safetensors
from craft.studies.collect import collect, fairness
from craft.studies.compare import compare
from craft.studies.scores import read_scores
from craft.studies.study import load_study
from tests.networks import lively_network

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def region_study(tiny_study_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("region_study")
    study = yaml.safe_load(tiny_study_file.read_text())
    few = {"network": 20, "components": 10, "truth": 10, "grid": 20}
    head = {"enabled": True, "sampler": "ohem", "rois_per_image": 8, "pool": [2, 2], "hidden": 8, "proposals": few}
    model = lively_network(seed=3)
    with torch.no_grad():
        model.conv_cls[-1].bias.fill_(0.3)  # maps that rise above 0.3 here and there: words from the start
    save_safetensors(model, folder / "maps.safetensors", {"width": 0.0625})
    base = yaml.safe_load((tiny_study_file.parent / "base.yaml").read_text())
    base["optimizer"]["learning_rate"] = 1e-5
    (folder / "base.yaml").write_text(yaml.safe_dump({**base, "weights": str(folder / "maps.safetensors")}))
    study |= {
        "base": str(folder / "base.yaml"),
        "variants": {"maps-alone": {}, "ohem": {"region": head}},
        "reference": "maps-alone",
        "seeds": [1],
        "budget": {"steps": 2},
        "thresholds": {"text": [0.3], "low": [0.28], "link": [0.5], "region": [0.0, 0.4, 1.0]},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    out = folder / "out"
    assert compare(load_study(path), out, executor="inline").num_done == 2
    return path, out


def test_runs_with_and_without_a_head_have_the_same_initial_weights_and_batches(region_study):
    _path, out = region_study

    checks = fairness(collect(out))

    assert checks == {1: {"weights": True, "first": True, "last": True}}


def test_a_region_threshold_drops_words_of_the_run_with_a_head_only(region_study):
    _path, out = region_study
    counted = {
        variant: read_scores(out / "runs" / variant / "seed_1" / "scores.npz")["tiny/report"]
        .counts[:, :, 1]
        .sum(axis=1)
        for variant in ("maps-alone", "ohem")
    }

    assert len(set(counted["maps-alone"].tolist())) == 1
    assert counted["ohem"][0] >= counted["ohem"][1] > counted["ohem"][2] == 0


def test_the_report_is_written_and_the_viewer_holds_the_heads_probabilities(region_study):
    _path, out = region_study

    assert (out / "report.html").exists()
    assert "region_threshold" in (out / "runs.csv").read_text().splitlines()[0]
    views = sorted((out / "runs" / "ohem" / "seed_1" / "view").glob("*.json"))
    text = [one for view in views for words in json.loads(view.read_text()).values() for one in words["text"]]
    assert text
    assert np.all((np.array(text) >= 0) & (np.array(text) < 1))


def test_a_threshold_for_a_head_that_no_variant_has_is_refused(tiny_study_file):
    with pytest.raises(ValueError, match=r"thresholds\.region has no effect: no variant has region\.enabled"):
        load_study(tiny_study_file, overrides=["thresholds.region=[0.0, 0.5]"])
