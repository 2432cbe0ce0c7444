"""Synthetic datasets on disk: the official layout, exact characters, and the same bytes whoever renders."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from craft.config import DatasetSettings
from craft.datasets.reading import read_dataset, read_scenes
from craft.synth import writer
from craft.synth.fonts import FontPool, missing_fonts_remark
from craft.synth.presets import FullSettings, preset
from craft.synth.render import render_scene
from craft.synth.writer import write_dataset


def small(**changes: Any) -> FullSettings:
    """The full preset, small, with the fonts of packages only."""
    settings = preset("full", {"size_hw": (256, 320), "words": (2, 10), "system_fonts": False, **changes})
    assert isinstance(settings, FullSettings)
    return settings


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_the_same_bytes_with_one_and_four_workers(tmp_path):
    one = write_dataset(tmp_path / "one", settings=small(), count=8, seed=2, workers=1)
    four = write_dataset(tmp_path / "four", settings=small(), count=8, seed=2, workers=4)

    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert one == four
    assert len(files) == 18  # eight images, eight label files, scenes.jsonl, generator.json
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "four" / name).read_bytes() for name in files)


@pytest.mark.slow
def test_the_same_bytes_with_one_and_two_workers(tmp_path):
    one = write_dataset(tmp_path / "one", settings=preset("quickstart"), count=3, seed=7, workers=1)
    two = write_dataset(tmp_path / "two", settings=preset("quickstart"), count=3, seed=7, workers=2)

    assert one == two
    assert _folder_hash(tmp_path / "one") == _folder_hash(tmp_path / "two")


def test_both_label_files_read_back_as_the_rendered_words(tmp_path):
    settings = small()
    write_dataset(tmp_path, settings=settings, count=4, seed=1)

    layout = read_dataset(DatasetSettings(path=str(tmp_path), format="icdar2017"))
    exact = read_dataset(DatasetSettings(path=str(tmp_path / "scenes.jsonl")))

    assert not layout.problems
    assert not exact.problems
    assert not any(word.character_quads_xy is not None for scene in layout.scenes for word in scene.words)
    for index, (plain, full) in enumerate(zip(layout.scenes, exact.scenes, strict=True)):
        rendered = render_scene(settings, 1, index).words
        assert [word.dont_care for word in plain.words] == [word.dont_care for word in rendered]
        assert [word.text for word in full.words] == [word.text for word in rendered]
        for word, wanted in zip(full.words, rendered, strict=True):
            assert word.character_quads_xy is not None
            np.testing.assert_allclose(word.character_quads_xy, wanted.character_quads_xy, atol=0.006)


def test_a_written_dataset_is_read_with_its_characters_unless_a_format_leaves_them_out(tmp_path):
    write_dataset(tmp_path, settings=small(), count=2, seed=1)
    by_default: list[str] = []
    as_layout: list[str] = []

    scenes = read_scenes(DatasetSettings(path=str(tmp_path)), on_error="fail", echo=by_default.append)
    read_scenes(DatasetSettings(path=str(tmp_path), format="icdar2017"), on_error="fail", echo=as_layout.append)

    words = [word for scene in scenes for word in scene.words]
    known = sum(not word.dont_care for word in words)
    assert known
    assert all(word.character_quads_xy is not None for word in words)
    assert f"{known:,} with characters" in by_default[0]
    assert len(by_default) == 1
    assert "0 with characters" in as_layout[0]
    assert "remove `format`" in as_layout[1]


def test_the_layout_of_icdar2017_is_written(tmp_path):
    summary = write_dataset(tmp_path, settings=preset("quickstart"), count=2, seed=0, split="validation")

    lines = (tmp_path / "ch8_validation_localization_transcription_gt_v2" / "gt_img_1.txt").read_text("utf-8")
    image = cv2.imread(str(tmp_path / "ch8_validation_images" / "img_2.jpg"))
    first = lines.splitlines()[0].split(",", 9)
    assert image.shape == (512, 512, 3)
    assert [int(value) for value in first[:8]]
    assert first[8:] == ["Latin", "Serious"]
    assert summary.scenes == 2
    assert summary.words == sum(summary.scripts.values()) == sum(summary.fonts.values())


def test_an_interrupted_dataset_is_refused_until_it_is_written_again(tmp_path, monkeypatch):
    def stop(*_arguments):
        raise KeyboardInterrupt

    settings = preset("quickstart")
    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_scenes", stop)
        with pytest.raises(KeyboardInterrupt):
            write_dataset(tmp_path, settings=settings, count=2, seed=0)
    for format in (None, "icdar2017"):
        with pytest.raises(ValueError, match="is unfinished: craft synth writes it or was interrupted"):
            read_dataset(DatasetSettings(path=str(tmp_path), format=format))

    write_dataset(tmp_path, settings=settings, count=2, seed=0)

    assert len(read_dataset(DatasetSettings(path=str(tmp_path))).scenes) == 2


def test_scripts_without_a_font_are_named():
    settings = small(scripts={"Latin": 1.0, "Korean": 1.0, "Greek": 0.0})
    pool = FontPool({"Latin": ()}, ())

    assert missing_fonts_remark(pool, settings.scripts) == (
        "no font for Korean: words in them are left out; install fonts such as Noto, name a folder of fonts in "
        "font_folders, or give these scripts the weight 0"
    )
    assert missing_fonts_remark(pool, {"Latin": 1.0, "Korean": 0.0}) is None


def test_a_dataset_without_scenes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1, not 0"):
        write_dataset(tmp_path, settings=preset("quickstart"), count=0, seed=0)


@pytest.mark.parametrize("first", ["train", "validation"])
def test_a_second_split_in_a_folder_leaves_the_first_as_it_was(tmp_path, first):
    second = "validation" if first == "train" else "train"
    counts = {first: 2, second: 3}
    for number, split in enumerate((first, second, second)):  # the last time in place of the time before
        write_dataset(tmp_path, settings=preset("quickstart"), count=counts[split], seed=number, split=split)

    readings = {
        split: read_dataset(DatasetSettings(path=str(tmp_path), split=split))
        for split in ("train", "validation", "all")
    }

    for split, count in counts.items():
        assert [scene.name for scene in readings[split].scenes] == [f"img_{number + 1}" for number in range(count)]
        assert all(f"ch8_{split}" in scene.image_path for scene in readings[split].scenes)
        assert readings[split].problems == ()
    assert len({scene.name for scene in readings["all"].scenes}) == 5
    assert len(list(tmp_path.glob("generator*.json"))) == 2
