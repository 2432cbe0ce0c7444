"""The teacher finds the characters of all kinds of words, in batches that change nothing."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from craft.geometry import polygon_iou
from craft.scene import Scene, Word
from craft.targets.characters import num_missing_characters
from craft.teacher import crop_batches
from craft.teacher.crop_batches import reading_frames
from craft.teacher.labeller import label_scenes, region_maps, split_crop

CPU = torch.device("cpu")


class Blobs(nn.Module):
    """A network whose region score is how green an image is: scenes here are painted with their own region maps."""

    def forward(self, images):
        green = functional.avg_pool2d(images[:, 1:2], 2)
        green = green * 0.224 + 0.456  # undoes the normalising
        return torch.cat([green, torch.zeros_like(green)], dim=1), None


def upright(left, top, width, height, count, *, gaps=()):
    """Characters side by side, with a gap before those in `gaps`."""
    positions = np.arange(count) + np.array([sum(number >= gap for gap in gaps) for number in range(count)])
    lefts = left + positions * width
    return np.array([[[x, top], [x + width, top], [x + width, top + height], [x, top + height]] for x in lefts], float)


def stacked(left, top, width, height, count):
    tops = top + np.arange(count) * height
    return np.array(
        [[[left, y], [left + width, y], [left + width, y + height], [left, y + height]] for y in tops], float
    )


def turned(quads, degrees, about=(200, 150)):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (quads - about) @ turn + about


def around(quads):
    """The quad of a row of characters whose corners lie in order."""
    return np.array([quads[0, 0], quads[-1, 1], quads[-1, 2], quads[0, 3]], np.float32)


def paint(folder, name, rows, size_hw=(300, 400)):
    """A scene whose image is as green as the ideal region map of rows of characters."""
    y, x = np.mgrid[0 : size_hw[0], 0 : size_hw[1]] + 0.5
    region = np.zeros(size_hw)
    for quads in rows:
        for quad in quads:
            centre, along, down = quad.mean(axis=0), 0.75 * (quad[1] - quad[0]), 0.75 * (quad[3] - quad[0])
            offset = np.stack([x, y], axis=-1) - centre
            u, v = offset @ along / (along @ along), offset @ down / (down @ down)
            region = np.maximum(region, np.where(u**2 + v**2 <= 1, np.exp(-(u**2 + v**2) / 0.32), 0))
    image = np.zeros((*size_hw, 3), np.uint8)
    image[..., 1] = np.round(255 * region)
    path = folder / f"{name}.png"
    cv2.imwrite(str(path), image)
    return Scene(str(path), (), name)


def label(scene, words, **options):
    [labelled], counts = label_scenes(Blobs().eval(), [replace(scene, words=tuple(words))], device=CPU, **options)
    return labelled.words, counts


def mean_iou(found, true):
    assert len(found) == len(true)
    return np.mean([polygon_iou(quad, expected) for quad, expected in zip(found, true, strict=True)])


ROWS = {
    "word": ("Genaxis", upright(100, 100, 24, 40, 7)),
    "space": ("NEW YORK", upright(60, 100, 24, 40, 7, gaps=(3,))),
    "combining marks": ("e\u0301te\u0301", upright(100, 100, 24, 40, 3)),
    "Arabic": ("\u0645\u0631\u062d\u0628\u0627", upright(100, 100, 24, 40, 5)),
    "Bangla": ("\u09ac\u09be\u0982\u09b2\u09be", upright(100, 100, 36, 40, 2)),
    "one letter": ("A", upright(100, 100, 24, 40, 1)),
    "thirty letters": ("abcdefghijklmnopqrstuvwxyzabcd", upright(20, 100, 12, 20, 30)),
    "one narrow letter": ("I", upright(100, 100, 12, 40, 1)),
}


@pytest.mark.parametrize("splitter", ["cuts", "length", "watershed"])
@pytest.mark.parametrize("kind", ROWS)
def test_characters_of_a_word_are_found(tmp_path, kind, splitter):
    text, quads = ROWS[kind]
    quads = turned(quads, 10)

    (word,), counts = label(paint(tmp_path, "img_1", [quads]), [Word(around(quads), text)], splitter=splitter)

    assert len(quads) == num_missing_characters(Word(around(quads), text))
    assert word.confidence == 1.0
    assert mean_iou(word.character_quads_xy, quads) > 0.65
    assert (counts.words, counts.mean_confidence, counts.under_half) == (1, 1.0, 0)


@pytest.mark.parametrize("splitter", ["cuts", "length", "watershed"])
def test_vertical_japanese_is_read_downwards(tmp_path, splitter):
    quads = stacked(150, 40, 36, 34, 5)
    polygon = np.array([quads[0, 0], quads[0, 1], quads[-1, 2], quads[-1, 3]], np.float32)

    (word,), _ = label(
        paint(tmp_path, "img_1", [quads]), [Word(polygon, "\u6771\u4eac\u30bf\u30ef\u30fc")], splitter=splitter
    )

    assert word.confidence == 1.0
    assert mean_iou(word.character_quads_xy, quads) > 0.65


def test_a_tall_word_that_reads_across_is_read_across(tmp_path):
    quads = upright(150, 60, 24, 90, 2)  # 48 wide, 90 high: by its shape alone it would be read downwards

    (word,), _ = label(paint(tmp_path, "img_1", [quads]), [Word(around(quads), "Il")])

    assert word.confidence == 1.0
    assert mean_iou(word.character_quads_xy, quads) > 0.65


def test_reading_directions_follow_the_shape():
    tall = np.array([[0, 0], [20, 0], [20, 60], [0, 60]], np.float32)

    assert [frame.downwards for frame in reading_frames(tall, 3, height=64)] == [True, False, False, False]
    assert [frame.downwards for frame in reading_frames(tall, 1, height=64)] == [False]
    assert [frame.downwards for frame in reading_frames(tall * np.float32([2.5, 1]), 3, height=64)] == [False, True]
    assert [frame.downwards for frame in reading_frames(tall * np.float32([9, 1]), 3, height=64)] == [False]


def test_a_word_partly_outside_is_split_where_it_is_visible_with_less_confidence(tmp_path):
    quads = upright(-48, 100, 24, 40, 6)  # two of six characters are outside

    (word,), counts = label(paint(tmp_path, "img_1", [quads]), [Word(around(quads), "ABCDEF")])

    assert word.confidence == pytest.approx(4 / 6)
    assert counts.under_half == 0
    assert mean_iou(word.character_quads_xy[2:], quads[2:]) > 0.5


def test_a_word_wholly_outside_is_split_evenly_with_confidence_one_half(tmp_path):
    quads = upright(-200, 100, 24, 40, 4)

    (word,), counts = label(paint(tmp_path, "img_1", [quads]), [Word(around(quads), "ABCD")])

    assert (word.confidence, counts.under_half, counts.mean_confidence) == (0.5, 1, 0.0)
    np.testing.assert_allclose(word.character_quads_xy, quads, atol=1e-3)


def test_words_without_text_or_with_characters_stay_as_they_are(tmp_path):
    quads = upright(100, 100, 24, 40, 3)
    given = Word(around(quads), "abc", character_quads_xy=quads.astype(np.float32))
    ignored, spaces = Word(around(quads), dont_care=True), Word(around(quads), "  ")

    words, counts = label(paint(tmp_path, "img_1", [quads]), [given, ignored, spaces])

    assert list(words) == [given, ignored, spaces]
    assert counts.words == 0
    assert counts.mean_confidence == counts.share_under_half == 0


def test_no_scenes_and_scenes_without_words_are_normal(tmp_path):
    assert label_scenes(Blobs().eval(), [], device=CPU)[0] == []
    assert label(paint(tmp_path, "img_1", []), [])[0] == ()


def test_batches_and_workers_change_nothing(tmp_path, monkeypatch):
    scenes = []
    for number in range(5):
        rows = [turned(upright(60, 40 + 60 * row, 14 + 3 * row, 30, 4 + number), 4 * number) for row in range(4)]
        words = tuple(Word(around(quads), "abcdefghij"[: 4 + number]) for quads in rows)
        scenes.append(replace(paint(tmp_path, f"img_{number}", rows), words=words))
    together, _ = label_scenes(Blobs().eval(), scenes, device=CPU, workers=3)
    monkeypatch.setitem(crop_batches._BATCH_PIXELS, "cpu", 1)
    alone = [label_scenes(Blobs().eval(), [scene], device=CPU, workers=1)[0][0] for scene in scenes]

    for scene, same_scene in zip(together, alone, strict=True):
        for word, same in zip(scene.words, same_scene.words, strict=True):
            assert word.confidence == same.confidence
            np.testing.assert_array_equal(word.character_quads_xy, same.character_quads_xy)


def test_crops_made_on_the_device_give_the_same_characters(tmp_path):
    quads = turned(upright(100, 100, 24, 40, 6), 10)
    word = Word(around(quads), "ABCDEF")
    [frame] = reading_frames(word.polygon_xy, 6, height=64)
    image = cv2.imread(paint(tmp_path, "img_1", [quads]).image_path)[..., ::-1].copy()
    word_crop = crop_batches.WordCrop(0, 0, 0, 6, frame, np.empty(0, np.uint8))
    on_device = torch.from_numpy(image).permute(2, 0, 1)

    found = []
    for pixels in (crop_batches.crop_word(image, frame), crop_batches.crop_words_on_device(on_device, [frame])[0]):
        crop = replace(word_crop, pixels=pixels)
        [levels] = region_maps(Blobs().eval(), [crop], CPU, torch.float32)
        found.append(split_crop(crop, levels, "length"))

    np.testing.assert_allclose(found[0].quads_xy, found[1].quads_xy, atol=1.0)
    assert found[0].confidence == found[1].confidence == 1


def test_wrong_heights_and_missing_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="multiple of 32"):
        label_scenes(Blobs().eval(), [], device=CPU, height=40)
    scene = Scene(str(tmp_path / "none.png"), (Word(around(upright(0, 0, 9, 9, 2)), "ab"),), "none")
    with pytest.raises(ValueError, match=r"none\.png"):
        label_scenes(Blobs().eval(), [scene], device=CPU)


COUNTED = [name for name in ROWS if name not in ("one narrow letter",)]


@pytest.mark.parametrize("splitter", ["cuts", "length", "watershed"])
@pytest.mark.parametrize("kind", COUNTED)
def test_characters_of_a_word_without_a_text_are_counted_and_found(tmp_path, kind, splitter):
    quads = turned(ROWS[kind][1], 10)

    (word,), counts = label(paint(tmp_path, "img_1", [quads]), [Word(around(quads))], splitter=splitter)

    assert (word.text, word.confidence) == (None, 1.0)
    assert mean_iou(word.character_quads_xy, quads) > 0.65
    assert counts.under_half == 0


def test_a_word_without_a_text_in_which_nothing_is_seen_is_split_by_its_shape(tmp_path):
    box = np.array([[20, 20], [120, 20], [120, 60], [20, 60]], np.float32)  # 2.5 times as wide as high

    (word,), counts = label(paint(tmp_path, "img_1", []), [Word(box)])

    assert (len(word.character_quads_xy), word.confidence) == (5, 0.5)
    assert counts.under_half == 1


def test_no_bar_is_shown_where_there_is_nothing_to_label(capsys):
    label_scenes(torch.nn.Identity().eval(), [], device=torch.device("cpu"), progress=True)

    assert "label" not in capsys.readouterr().err
