"""Settings: what is read, what is refused and what the refusal says."""

import pytest

from craft.config import Config, dump_config, load_config, validate_config
from craft.config_files import parse_settings


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_unknown_setting_is_refused_with_the_nearest_known_one(tmp_path):
    path = write(tmp_path / "a.yaml", "ohem: {rato: 5}\n")

    with pytest.raises(ValueError, match=r"a\.yaml: unknown setting 'ohem\.rato'; did you mean 'ohem\.ratio'"):
        load_config(path)


def test_unknown_setting_of_a_set_names_its_place_in_the_list(tmp_path):
    path = write(tmp_path / "a.yaml", "data: {train: [{path: x, formt: icdar2017}]}\n")

    with pytest.raises(ValueError, match=r"data\.train\.0\.formt.*did you mean 'data\.train\.0\.format'"):
        load_config(path)


@pytest.mark.parametrize(
    "setting",
    [
        "ohem.ratio=0",
        "ohem.ratio=.inf",
        "ohem.min_negatives=-1",
        "training.steps=0",
        "optimizer.average_decay=1",
        "model.width=0",
        "data.crop_size=100",
        "detection.text_threshold=1.5",
        "augment.scale=[2, 1]",
        "augment.rotation=181",
        "training.precision=fp8",
    ],
)
def test_value_out_of_range_is_refused_by_name(tmp_path, setting):
    path = write(tmp_path / "a.yaml", "")
    name = setting.partition("=")[0].split(".")[-1]

    with pytest.raises(ValueError, match=name):
        load_config(path, overrides=[setting])


def test_learning_rate_that_yaml_reads_as_text_becomes_a_number(tmp_path):
    path = write(tmp_path / "a.yaml", "optimizer: {learning_rate: 3e-4}\n")

    assert load_config(path).optimizer.learning_rate == 3e-4


def test_setting_without_effect_is_refused_where_it_is_given(tmp_path):
    path = write(tmp_path / "a.yaml", "ohem: {rule: all, ratio: 5}\n")

    with pytest.raises(ValueError, match=r"ohem\.ratio has no effect with ohem\.rule: all"):
        load_config(path)
    with pytest.raises(ValueError, match=r"ohem\.ratio has no effect"):
        load_config(write(tmp_path / "b.yaml", ""), overrides=["ohem.rule=none", "ohem.ratio=5"])


def test_setting_without_effect_may_be_inherited(tmp_path):
    write(tmp_path / "base.yaml", "ohem: {ratio: 5}\n")
    path = write(tmp_path / "a.yaml", "extends: base.yaml\nohem: {rule: all}\n")

    assert load_config(path).ohem.ratio == 5


def test_setting_of_the_file_may_idle_under_an_override(tmp_path):
    path = write(tmp_path / "a.yaml", "detection: {sizing: long_side, long_side: 2240}\n")

    detection = load_config(path, overrides=["detection.sizing=scale", "detection.magnify=2"]).detection

    assert (detection.sizing, detection.magnify) == ("scale", 2)


def test_nearer_file_and_command_line_win(tmp_path):
    write(tmp_path / "far.yaml", "training: {steps: 1, seed: 1, batch_size: 1}\n")
    write(tmp_path / "near.yaml", "extends: far.yaml\ntraining: {steps: 2, seed: 2}\n")
    path = write(tmp_path / "own.yaml", "extends: near.yaml\ntraining: {steps: 3}\n")

    training = load_config(path, overrides=["training.log_every=7"]).training

    assert (training.batch_size, training.seed, training.steps, training.log_every) == (1, 2, 3, 7)


def test_files_that_extend_each_other_are_refused(tmp_path):
    write(tmp_path / "a.yaml", "extends: b.yaml\n")
    write(tmp_path / "b.yaml", "extends: a.yaml\n")

    with pytest.raises(ValueError, match="extends"):
        load_config(tmp_path / "a.yaml")


def test_override_reaches_into_a_list(tmp_path):
    path = write(tmp_path / "a.yaml", "data: {train: [{path: one}, {path: two, weight: 2}]}\n")

    train = load_config(path, overrides=["data.train.1.path=three"]).data.train

    assert [(one.path, one.weight) for one in train] == [("one", 1.0), ("three", 2.0)]


def test_override_without_a_value_says_what_is_expected():
    with pytest.raises(ValueError, match="expected KEY=VALUE"):
        parse_settings(["ohem.ratio"])


def test_settings_without_effect_are_left_out_when_written():
    written = dump_config(validate_config({"ohem": {"rule": "all"}}, where="test"))

    assert "rule: all" in written
    assert "  ratio:" not in written


@pytest.mark.parametrize("text", ["- 1\n", "a: [\n"])
def test_file_that_is_no_mapping_is_refused_by_name(tmp_path, text):
    with pytest.raises(ValueError, match=r"a\.yaml"):
        load_config(write(tmp_path / "a.yaml", text))


def test_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml")


def test_written_settings_read_back_the_same(tmp_path):
    config = validate_config(
        {"data": {"train": [{"path": "x", "numbers": [1, 8]}]}, "freeze": ["basenet"]}, where="test"
    )

    assert load_config(write(tmp_path / "a.yaml", dump_config(config))) == config


def test_every_shipped_configuration_is_valid(request):
    paths = sorted((request.config.rootpath / "configs").glob("*.yaml"))
    paths = [path for path in paths if "variants:" not in path.read_text()]  # studies have tests of their own

    assert len(paths) >= 3
    for path in paths:
        assert isinstance(load_config(path), Config), path


def test_every_setting_is_documented():
    def undocumented(model, prefix=""):
        for name, field in model.model_fields.items():
            inner = [
                item
                for item in (field.annotation, *getattr(field.annotation, "__args__", ()))
                if hasattr(item, "model_fields")
            ]
            if inner:
                yield from undocumented(inner[0], f"{prefix}{name}.")
            elif not field.description:
                yield prefix + name

    assert list(undocumented(Config)) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{format: synth, preset: full, path: x}", "format: synth renders its scenes and reads none; remove path"),
        ("{format: synth, preset: full, numbers: [1, 2]}", "remove numbers"),
        ("{format: synth, seed: 3}", "format: synth needs a preset; add preset: full, quickstart or sample"),
        ("{path: x, preset: full, count: 3}", "preset, count can only be used with format: synth"),
        ("{path: x, format: icdar2017, seed: 0}", "seed can only be used"),
        ("{format: icdar2017}", "no path; name the folder of the dataset, or give format: synth and a preset"),
    ],
)
def test_a_set_is_either_read_or_drawn(tmp_path, given, message):
    path = write(tmp_path / "a.yaml", f"data: {{train: [{given}]}}\n")

    with pytest.raises(ValueError, match=rf"a\.yaml: data\.train\.0: .*{message}"):
        load_config(path)


def test_a_drawn_set_survives_being_written_out(tmp_path):
    drawn = "{format: synth, preset: full, seed: 801, settings: {size_hw: [320, 320]}, weight: 2}"
    config = load_config(write(tmp_path / "a.yaml", f"data: {{train: [{{path: x}}, {drawn}]}}\n"))

    text = dump_config(config)

    assert load_config(write(tmp_path / "b.yaml", text)) == config
    assert text.count("preset:") == 1
    assert text.count("path:") == 1
    assert config.data.train[1].title == "synth (full, seed 801)"


def test_removed_setting_is_refused_with_the_reason(tmp_path):
    path = write(tmp_path / "a.yaml", "data: {on_device: auto}\n")

    with pytest.raises(ValueError, match=r"a\.yaml: data\.on_device was removed: loader processes do this work$"):
        load_config(path)


def test_removed_setting_in_the_settings_of_a_run_folder_is_dropped(tmp_path):
    path = write(tmp_path / "config.yaml", "data: {on_device: pictures, workers: 3}\n")
    write(tmp_path / "environment.jsonl", "{}\n")

    assert load_config(path, overrides=["training.steps=7"]).data.workers == 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("steps=5", "unknown setting 'steps'; did you mean 'training.steps'"),
        ("ohem.learning_rate=1", "did you mean 'optimizer.learning_rate'"),
        ("zzzzzz=5", "unknown setting 'zzzzzz'; known here: extends, weights"),
        ("training.device=tpu", r"training\.device: 'tpu' is not a device; use auto, cpu, mps, cuda or cuda:N"),
    ],
)
def test_a_mistaken_setting_is_answered_with_what_was_meant(tmp_path, setting, message):
    with pytest.raises(ValueError, match=message):
        load_config(write(tmp_path / "a.yaml", ""), overrides=[setting])


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:1"])
def test_every_device_that_detection_takes_can_train(tmp_path, device):
    assert load_config(write(tmp_path / "a.yaml", f"training: {{device: '{device}'}}")).training.device == device


@pytest.mark.parametrize("setting", ["data.train=FOLDER", "data.train=[FOLDER]", "data.train=[{path: FOLDER}]"])
def test_a_path_stands_for_a_dataset(tmp_path, setting):
    config = load_config(write(tmp_path / "a.yaml", ""), overrides=[setting])

    assert [dataset.path for dataset in config.data.train] == ["FOLDER"]


def test_a_tilde_in_every_path_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("USERPROFILE", "/home/someone")
    path = write(
        tmp_path / "a.yaml",
        "weights: ~/a.pth\ndata:\n  train: [{path: ~/set, images: ~/i, labels: ~/l}]\n"
        "  characters: {source: file, files: [~/c.jsonl], weights: ~/w.pth}\n",
    )

    config = load_config(path)

    dataset = config.data.train[0]
    given = [config.weights, dataset.path, dataset.images, dataset.labels]
    given += [config.data.characters.files[0], config.data.characters.weights]
    assert given == [f"/home/someone/{name}" for name in ("a.pth", "set", "i", "l", "c.jsonl", "w.pth")]


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_a_file_in_another_encoding_is_refused_by_name(tmp_path, encoding):
    path = tmp_path / "a.yaml"
    path.write_text("# caf\u00e9\ntraining: {steps: 5}\n", encoding=encoding)

    with pytest.raises(ValueError, match=r"a\.yaml: not UTF-8 .*save it again with UTF-8"):
        load_config(path)


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("training: {steps: 5}\n", encoding="utf-8-sig")

    assert load_config(path).training.steps == 5


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]\n", "data: &d {train: *d}\n", "[" * 5000])
def test_yaml_that_expands_without_end_is_refused_by_name(tmp_path, text):
    with pytest.raises(ValueError, match=r"a\.yaml: not YAML"):
        load_config(write(tmp_path / "a.yaml", text))


def test_an_anchor_may_be_used_again(tmp_path):
    path = write(tmp_path / "a.yaml", "data: {train: &sets [{path: x}], validation: *sets}\n")

    assert load_config(path).data.validation[0].path == "x"
