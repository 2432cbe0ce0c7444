"""Label files: written by the command, read back for their dataset, refused when out of date."""

import json
from dataclasses import replace

import numpy as np
import pytest

from craft.cli.command import main
from craft.config import DatasetSettings, validate_config
from craft.datasets.jsonlines import write_scenes
from craft.datasets.reading import read_scenes
from craft.models.weights import save_safetensors
from craft.teacher.label_files import read_labels
from craft.training.datasets import read_training_datasets
from tests.networks import lively_network


def scenes_of(tiny_set):
    return read_scenes(DatasetSettings(path=str(tiny_set), format="icdar2017"), on_error="fail", echo=print)


def test_a_label_file_states_its_origin_and_is_a_dataset_itself(labels, weights, tiny_set):
    origin = json.loads(labels.read_text(encoding="utf-8").splitlines()[0])["note"]
    scenes = read_scenes(DatasetSettings(path=str(labels), format="jsonl"), on_error="fail", echo=print)

    assert (origin["weights"], origin["splitter"], origin["height"]) == ("teacher.safetensors", "cuts", 32)
    assert origin["words"] == sum(not word.dont_care for scene in scenes for word in scene.words) > 0
    assert [scene.name for scene in scenes] == [scene.name for scene in scenes_of(tiny_set)]
    for scene in scenes:
        for word in scene.words:
            assert word.dont_care or len(word.character_quads_xy) == 4
            assert word.dont_care or 0.5 <= word.confidence <= 1


def test_labels_are_read_back_for_their_dataset_and_for_a_part_of_it(labels, tiny_set):
    scenes = scenes_of(tiny_set)

    labelled, origin = read_labels(labels, scenes[2:5])

    assert origin.words > 0
    assert [scene.name for scene in labelled] == [scene.name for scene in scenes[2:5]]
    assert all(word.dont_care or word.character_quads_xy is not None for scene in labelled for word in scene.words)


def test_stale_label_files_are_refused(labels, tiny_set, tmp_path):
    scenes = scenes_of(tiny_set)
    other_text = replace(scenes[1], words=(replace(scenes[1].words[0], text="other"), *scenes[1].words[1:]))
    polygon = scenes[1].words[0].polygon_xy + np.float32(1)
    moved = replace(scenes[1], words=(replace(scenes[1].words[0], polygon_xy=polygon), *scenes[1].words[1:]))

    for changed in (other_text, moved):
        with pytest.raises(ValueError, match="have changed since"):
            read_labels(labels, [changed])
    with pytest.raises(ValueError, match="has no scene 'img_99'"):
        read_labels(labels, [replace(scenes[1], name="img_99")])
    with pytest.raises(ValueError, match="made with weights"):
        read_labels(labels, scenes, weights="0123456789abcdef")
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join(labels.read_text(encoding="utf-8").splitlines()[:3]) + '\n{"image', encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.jsonl:4"):
        read_labels(broken, scenes)


def test_words_without_a_text_are_labelled_on_request_and_trained_on_either_way(
    tiny_set, weights, tiny_values, tmp_path, capsys
):
    boxes = [
        replace(scene, words=tuple(replace(word, text=None, dont_care=False) for word in scene.words))
        for scene in scenes_of(tiny_set)
    ]
    dataset, out = tmp_path / "boxes.jsonl", tmp_path / "labels.jsonl"
    write_scenes(dataset, boxes)
    command = ["label", str(dataset), "--weights", str(weights), "--out", str(out), "--height", "32", "--device", "cpu"]

    assert main(command) == 2  # all are don't care
    assert "--boxes-only has their characters counted" in capsys.readouterr().out
    assert main([*command, "--boxes-only"]) == 0

    tiny_values["data"]["train"] = [{"path": str(out)}]
    tiny_values["data"]["characters"] = {"source": "even"}
    [itself] = read_training_datasets(validate_config(tiny_values, where="test").data, echo=print)
    tiny_values["data"]["train"] = [{"path": str(dataset)}]
    tiny_values["data"]["characters"] = {"source": "file", "files": [str(out)]}
    [beside] = read_training_datasets(validate_config(tiny_values, where="test").data, echo=print)
    for scene, same in zip(itself.scenes, beside.scenes, strict=True):
        assert not any(word.dont_care for word in scene.words)
        for word, other in zip(scene.words, same.words, strict=True):
            np.testing.assert_array_equal(word.character_quads_xy, other.character_quads_xy)


def test_training_reads_label_files_and_checks_their_weights(labels, weights, tiny_values, tmp_path):
    characters = {"source": "file", "files": [str(labels)], "weights": str(weights)}
    tiny_values["data"]["characters"] = characters
    [dataset] = read_training_datasets(validate_config(tiny_values, where="test").data, echo=print)
    labelled, _ = read_labels(labels, dataset.as_read)
    for scene, expected in zip(dataset.scenes, labelled, strict=True):
        for word, same in zip(scene.words, expected.words, strict=True):
            assert word.confidence == same.confidence

    other = tmp_path / "other.safetensors"
    save_safetensors(lively_network(seed=1), other, {})
    characters["weights"] = str(other)
    with pytest.raises(ValueError, match="made with weights"):
        read_training_datasets(validate_config(tiny_values, where="test").data, echo=print)
    characters |= {"weights": None, "files": [None, str(labels)]}
    with pytest.raises(ValueError, match="2 files for 1 training datasets"):
        read_training_datasets(validate_config(tiny_values, where="test").data, echo=print)


def test_show_draws_the_characters_of_a_label_file(labels, tiny_set, tmp_path):
    command = ["show", str(tiny_set), "--format", "icdar2017", "--characters", str(labels), "--count", "2"]

    assert main([*command, "--out", str(tmp_path / "images")]) == 0

    assert len(list((tmp_path / "images").glob("*.jpg"))) == 2
