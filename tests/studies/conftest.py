"""A study of two variants and two seeds that is done in seconds."""

import pytest
import yaml

from craft.studies.compare import compare
from craft.studies.study import load_study


@pytest.fixture(scope="session")
def tiny_study_file(tiny_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    base = {
        "data": {"crop_size": 64, "workers": 0},
        "model": {"width": 0.0625},
        "optimizer": {"warmup_steps": 2, "learning_rate": 2e-3},
        "ohem": {"min_negatives": 16},
        "training": {"batch_size": 2, "device": "cpu", "precision": "fp32", "log_every": 1, "save_every": 2},
        "detection": {"sizing": "scale", "magnify": 1.0},
    }
    one = {"path": str(tiny_set), "format": "icdar2017"}
    study = {
        "name": "tiny",
        "title": "Does </script> & co. matter?",
        "base": "base.yaml",
        "reference": "hardest-3",
        "variants": {"hardest-3": {"ohem": {"rule": "hardest", "ratio": 3}}, "none": {"ohem": {"rule": "none"}}},
        "seeds": [1, 2],
        "budget": {"images": 11},
        "threads": 1,
        "train": [one],
        "splits": {
            "tiny": {
                "choose": [{**one, "numbers": [1, 3]}],
                "report": [{**one, "numbers": [5, 7]}],
                "without_text": [{**one, "numbers": [8, 8]}],
            }
        },
        "thresholds": {"text": [0.05, 0.3], "low": [0.02, 0.2], "link": [0.3]},
        "curve": {"sets": [{**one, "numbers": [1, 2]}], "points": 2},
        "view": {"scenes": 2},
        "probe_crops": 4,
    }
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder / "study.yaml"


@pytest.fixture
def tiny_study(tiny_study_file):
    return load_study(tiny_study_file)


@pytest.fixture(scope="session")
def finished_study(tiny_study_file, tmp_path_factory):
    """The folder of the tiny study, done in one go."""
    out = tmp_path_factory.mktemp("finished") / "out"
    comparison = compare(load_study(tiny_study_file), out, executor="inline")
    assert comparison.num_done == 4
    return out
