"""The training datasets of a configuration: refused where there is nothing to learn, and told what is left out."""

import numpy as np
import pytest
from PIL import Image

from craft.config import DatasetSettings, DataSettings
from craft.datasets.shard_writer import pack_dataset
from craft.synth.source import SyntheticScenes
from craft.training.datasets import open_synthetic, read_training_datasets


def dataset(folder, text):
    images, labels = folder / "ch4_training_images", folder / "ch4_training_localization_transcription_gt"
    for made in (images, labels):
        made.mkdir(parents=True)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(images / "img_1.png")
    (labels / "gt_img_1.txt").write_text(f"0,0,60,0,60,20,0,20,{text}\n", encoding="utf-8")
    return DatasetSettings(path=str(folder), format="icdar2015")


def test_datasets_without_a_readable_word_are_refused_unless_another_has_one(tmp_path):
    ignored, other = dataset(tmp_path / "ignored", "###"), dataset(tmp_path / "other", "text")
    told = []

    with pytest.raises(ValueError, match="ignored: no readable word, so there is nothing to learn"):
        read_training_datasets(DataSettings(train=(ignored,)), echo=told.append)
    assert len(read_training_datasets(DataSettings(train=(ignored, other)), echo=told.append)) == 2
    assert any("ignored: no word can be read" in line for line in told)


@pytest.mark.parametrize("kind", ["shards", "synth"])
def test_datasets_that_are_read_on_the_fly_are_refused_too_where_no_word_can_be_read(tmp_path, kind):
    if kind == "shards":
        for name, text in (("ignored", "###"), ("other", "text")):
            pack_dataset(dataset(tmp_path / name, text), tmp_path / f"{name}.shards", shard_bytes=1 << 20)
        ignored, other = (
            DatasetSettings(path=str(tmp_path / f"{name}.shards"), format="shards") for name in ("ignored", "other")
        )
    else:
        ignored, other = (
            DatasetSettings(format="synth", preset="quickstart", settings={"words": words})
            for words in ((0, 0), (1, 2))
        )

    with pytest.raises(ValueError, match="no readable word, so there is nothing to learn"):
        read_training_datasets(DataSettings(train=(ignored,)), echo=lambda _: None)
    assert len(read_training_datasets(DataSettings(train=(ignored, other)), echo=lambda _: None)) == 2


def test_scripts_without_a_font_are_told_before_training(monkeypatch):
    monkeypatch.setattr(SyntheticScenes, "remark", "no font for Korean")
    told = []

    open_synthetic(DatasetSettings(format="synth", preset="quickstart"), echo=told.append)

    assert any("no font for Korean" in line for line in told)
