"""A packed dataset trains as the folder it was packed from, and damage to a shard is named."""

import json
import tarfile
from itertools import islice

import cv2
import numpy as np
import pytest

from craft.cli.command import main
from craft.config import AugmentSettings, DatasetSettings
from craft.datasets import shard_writer
from craft.datasets.loader import build_loader
from craft.datasets.reading import read_dataset
from craft.datasets.scene_dataset import SceneDataset
from craft.datasets.shard_writer import pack_dataset, parse_size
from craft.datasets.shards import open_shards
from craft.images.reader import image_bytes, image_size, read_image
from craft.images.tar_members import Member, parse_member
from craft.targets.characters import with_characters

STILL = AugmentSettings(colour=0, blur=0, noise=0, jpeg=0, grey=0)
STREAM = {"seed": 3, "crop_size": 64, "augment": STILL, "batch_size": 3}


@pytest.fixture
def packed(tiny_set, tmp_path):
    """The eight scenes of tiny_set in shards of a few scenes each."""
    summary = pack_dataset(DatasetSettings(path=str(tiny_set)), tmp_path / "packed", shard_bytes=200_000)
    assert (summary.scenes, summary.skipped) == (8, 0)
    assert summary.shards >= 2
    assert not (tmp_path / "packed.partial").exists()
    return DatasetSettings(path=str(tmp_path / "packed"))


def samples(scenes, **changes):
    dataset = SceneDataset([(scenes, 1.0)], seed=3, crop_size=64, augment=STILL, **changes)
    return [dataset[0, position] for position in range(len(dataset))]


def assert_same_fields(first, second, names):
    for name in names:
        one, other = getattr(first, name), getattr(second, name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, name


def test_scenes_come_back_word_for_word(tiny_set, packed):
    before, after = read_dataset(DatasetSettings(path=str(tiny_set))), read_dataset(packed)

    assert not after.problems
    assert [scene.name for scene in after.scenes] == [scene.name for scene in before.scenes]
    for one, other in zip(after.scenes, before.scenes, strict=True):
        assert len(one.words) == len(other.words)
        for word, expected in zip(one.words, other.words, strict=True):
            assert_same_fields(word, expected, ["polygon_xy", "text", "script", "dont_care", "confidence"])
        assert image_bytes(one.image_path) == image_bytes(other.image_path)
        assert image_size(one.image_path) == image_size(other.image_path) == (128, 160)


def test_samples_equal_those_of_the_folder(tiny_set, packed):
    folder = [with_characters(scene) for scene in read_dataset(DatasetSettings(path=str(tiny_set))).scenes]
    shards = open_shards(packed, prepare=with_characters)

    plain, cached = samples(shards), samples(shards, cache_bytes=1 << 20)

    for one, again, expected in zip(plain, cached, samples(folder), strict=True):
        assert_same_fields(one, expected, expected.__dataclass_fields__)
        assert_same_fields(again, expected, expected.__dataclass_fields__)


@pytest.mark.parametrize("workers", [0, 2])
def test_stream_goes_on_in_the_middle_of_an_epoch(packed, workers):
    scenes = open_shards(packed, prepare=with_characters)
    whole = list(islice(build_loader([(scenes, 1.0)], workers=0, start_position=0, **STREAM), 6))
    rest = islice(build_loader([(scenes, 1.0)], workers=workers, start_position=6, **STREAM), 4)

    for batch, expected in zip(rest, whole[2:], strict=True):
        assert batch.names == expected.names
        assert np.array_equal(batch.images.numpy(), expected.images.numpy())


def test_shards_are_those_of_webdataset(packed):
    names = []
    for shard in sorted(open_shards(packed)._folder.glob("*.tar")):
        with tarfile.open(shard) as tar:
            names += tar.getnames()
            for label, image in zip(tar.getnames()[::2], tar.getnames()[1::2], strict=True):
                assert label.removesuffix(".json") == image.removesuffix(".png")
                assert json.load(tar.extractfile(label))["image"] == image
        assert shard.stat().st_size <= 200_000 + tarfile.RECORDSIZE
    assert names == [f"img_{number}.{ending}" for number in range(1, 9) for ending in ("json", "png")]


def test_numbers_are_positions_in_the_dataset(packed):
    scenes = open_shards(packed.model_copy(update={"numbers": (3, 4)}))

    assert [scene.name for scene in scenes] == ["img_3", "img_4"]
    assert [scene.name for scene in scenes[1:]] == ["img_4"]
    with pytest.raises(ValueError, match="has no scene of numbers"):
        open_shards(packed.model_copy(update={"numbers": (30, 40)}))


def test_a_truncated_shard_is_named_when_the_dataset_is_opened(packed, tmp_path):
    shard = tmp_path / "packed" / "000001.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[:-5000])

    with pytest.raises(ValueError, match=rf"000001\.tar: has [0-9,]+ bytes of {len(content):,}; copy the shard again"):
        open_shards(packed)
    shard.unlink()
    with pytest.raises(ValueError, match=r"000001\.tar: is missing; copy the shard again"):
        open_shards(packed)


def test_damage_inside_a_shard_is_named_with_its_member(packed, tmp_path):
    scenes = open_shards(packed)
    member = parse_member(scenes[0].image_path)
    shard = tmp_path / "packed" / "000000.tar"
    content = bytearray(shard.read_bytes())
    content[member.start + tarfile.BLOCKSIZE + 700] ^= 1
    shard.write_bytes(content)

    with pytest.raises(ValueError, match=r"000000\.tar: member img_1\.png: its bytes are not those that were packed"):
        read_image(scenes[0].image_path)
    problems = read_dataset(packed).problems
    assert ["img_1.png" in str(problem) and "pack the dataset again" in str(problem) for problem in problems] == [True]

    shard.write_bytes(content[: member.start + tarfile.BLOCKSIZE + 700])
    with pytest.raises(ValueError, match=r"member img_1\.png: the shard is truncated after 700 of its"):
        read_image(scenes[0].image_path)
    shard.write_bytes(content[: member.start + 100])
    with pytest.raises(ValueError, match=r"000000\.tar: member img_1\.png: the shard is truncated after 0 of"):
        read_image(scenes[0].image_path)
    shard.write_bytes(b"\x55" * len(content))
    with pytest.raises(ValueError, match=r"000000\.tar: member at byte 0: its bytes are not those"):
        scenes[0]


def test_a_packed_dataset_packs_again_and_repeated_names_stay_apart(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    lines = []
    for number, name in enumerate(("a.b", "a_b")):
        cv2.imwrite(str(folder / f"{number}.jpg"), np.full((40, 60, 3), 90 * number, dtype=np.uint8))
        quad = [[1, 2], [30, 2], [30.25, 12], [1, 12]]
        lines.append(json.dumps({"image": f"{number}.jpg", "name": name, "words": [{"quad": quad, "text": "é y"}]}))
    (folder / "scenes.jsonl").write_text("\n".join(lines), encoding="utf-8")

    pack_dataset(DatasetSettings(path=str(folder)), tmp_path / "first", shard_bytes=1)
    pack_dataset(DatasetSettings(path=str(tmp_path / "first")), tmp_path / "second", shard_bytes=1 << 20)

    again = read_dataset(DatasetSettings(path=str(tmp_path / "second"), format="shards")).scenes
    assert [scene.name for scene in again] == ["a.b", "a_b"]
    assert [scene.words[0].text for scene in again] == ["é y", "é y"]
    with tarfile.open(tmp_path / "second" / "000000.tar") as tar:
        assert tar.getnames() == ["a_b.json", "a_b.jpg", "a_b_2.json", "a_b_2.jpg"]
    assert len(list((tmp_path / "first").glob("*.tar"))) == 2


def index_of(size, **changes):
    rows = np.zeros((size, 7), dtype=np.int64)
    for column, value in changes.items():
        rows[1, int(column[1:])] = value
    return rows


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("shards.npy", b"", "cannot be read"),
        ("shards.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'shape': (", "cannot be read"),
        ("shards.npy", index_of(8, c0=99), "row 2, for scene 2, points outside its shard"),
        ("shards.npy", index_of(8, c1=-1), "row 2"),
        ("shards.npy", index_of(8, c5=1 << 62), "row 2"),
        ("shards.json", b"", "not JSON"),
        ("shards.json", b"[" * 100_000, "not JSON"),
        ("shards.json", b"[1]", "is not a list of shards"),
        ("shards.json", b'{"version": 1}', "is not a list of shards"),
        ("shards.json", b'{"version": 1, "scenes": 8, "shards": [3]}', "is not a list of shards"),
        ("shards.json", b'{"version": 1, "scenes": "8", "shards": []}', "is not a list of shards"),
        ("shards.json", b'{"version": 1, "scenes": 8, "shards": [{"name": "../a.tar", "bytes": 1}]}', "is not a list"),
    ],
)
def test_a_damaged_index_is_named(packed, tmp_path, name, content, message):
    path = tmp_path / "packed" / name
    if isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_bytes(content)

    with pytest.raises(ValueError, match=rf"{name}: {message}.*; copy the shard again"):
        open_shards(packed)


def test_a_failed_pack_leaves_nothing_behind(tmp_path, tiny_set, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError("the disk is full")

    monkeypatch.setattr(shard_writer, "image_bytes", refuse)

    with pytest.raises(OSError, match="the disk is full"):
        pack_dataset(DatasetSettings(path=str(tiny_set)), tmp_path / "out", shard_bytes=1 << 20)
    assert list(tmp_path.iterdir()) == []


def test_the_command_packs_checks_and_refuses_to_overwrite(tiny_set, tmp_path, capsys):
    arguments = ["pack", str(tiny_set), "--out", str(tmp_path / "out"), "--shard-size", "1M"]

    assert main(arguments) == 0
    assert "8 scenes in 1 shards" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "out")]) == 0
    assert main(arguments) == 2
    assert "already exists" in capsys.readouterr().err


def test_a_dataset_with_errors_is_refused_or_packed_without_them(tmp_path, tiny_set):
    labels = "ch8_training_localization_transcription_gt_v2"
    for path in tiny_set.rglob("*.*"):
        target = tmp_path / "set" / path.relative_to(tiny_set)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "set" / labels / "gt_img_2.txt").write_text("1,2,3\n", encoding="utf-8")
    settings = DatasetSettings(path=str(tmp_path / "set"))

    with pytest.raises(ValueError, match=r"(?s)1 errors; fix them, or add --skip-errors.*gt_img_2\.txt:1"):
        pack_dataset(settings, tmp_path / "out", shard_bytes=1 << 20)
    assert not (tmp_path / "out").exists()
    summary = pack_dataset(settings, tmp_path / "out", shard_bytes=1 << 20, skip_errors=True)
    assert (summary.scenes, summary.skipped) == (7, 1)


def test_sizes_and_members_are_read_as_written():
    assert [parse_size(text) for text in ("12", "3k", "256M", "2G")] == [12, 3072, 256 << 20, 2 << 30]
    for text in ("", "0", "M", "1.5G", "3T"):
        with pytest.raises(ValueError, match="such as 256M"):
            parse_size(text)
    member = Member("/a/b:c/000001.tar", 512, 7, 99, "img_1.jpg")
    assert parse_member(str(member)) == member
    assert parse_member("/a/b.tar") is None
