"""What is said of a run before it starts, and that nothing is left behind."""

import json

import pytest

from craft.config import validate_config
from craft.training.loop import train
from craft.training.rehearsal import dry_run, duration, find_learning_rate, format_dry_run


def test_a_dry_run_says_what_the_run_will_take_and_leaves_nothing(tiny_values, tmp_path):
    tiny_values["data"]["validation"] = [dict(tiny_values["data"]["train"][0], numbers=[1, 2])]
    tiny_values["training"]["pictures_every"] = 2
    config = validate_config(tiny_values, where="test")

    found = dry_run(config, tmp_path / "run")

    assert not (tmp_path / "run").exists()
    train(config, tmp_path / "run")
    written = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*.*"))
    assert found.folder_bytes == pytest.approx(written, rel=0.2)  # without the page and the words found
    assert found.images_per_second > 0
    assert found.seconds > 2 * found.validation_seconds > 0
    said = format_dry_run(found)
    assert all(word in said for word in ("device", "memory", "images/s", "validations included", "MiB"))


def test_a_dry_run_refuses_what_training_would_refuse(tiny_values, tiny_config, tmp_path):
    train(tiny_config, tmp_path / "run")
    with pytest.raises(ValueError, match="already holds a run"):
        dry_run(tiny_config, tmp_path / "run")

    tiny_values["data"]["train"] = [str(tmp_path / "absent")]
    with pytest.raises(ValueError, match="absent"):
        dry_run(validate_config(tiny_values, where="test"), tmp_path / "other")


def test_the_learning_rate_is_looked_for_between_flat_and_diverging(tiny_config, tmp_path):
    curve = find_learning_rate(tiny_config, tmp_path / "rates", steps=40)

    assert curve.rates[0] == pytest.approx(1e-6)
    assert curve.rates == sorted(curve.rates)
    assert curve.suggestion is None or curve.rates[0] <= curve.suggestion <= curve.rates[-1]
    assert len(curve.rates) > 20
    assert max(curve.losses) > 1.2 * min(curve.losses)
    assert json.loads((tmp_path / "rates/learning_rate.json").read_text())["rates"] == curve.rates
    assert (tmp_path / "rates/learning_rate.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.25, "4.2 s"), (150, "2 min"), (3600 * 5 + 60, "5 h 1 min"), (3600 * 51, "2 days 3 h")]
)
def test_durations_are_said_in_the_two_largest_units(seconds, said):
    assert duration(seconds) == said
