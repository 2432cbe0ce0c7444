import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from craft.config import DatasetSettings
from craft.datasets.formats import format_of
from craft.datasets.jsonlines import write_scenes
from craft.datasets.reading import read_dataset, read_truth

REAL = os.environ.get("CRAFT_REAL_DATA")
LINES = {
    "icdar2013": '1 1 11 11 "text"\n',
    "icdar2015": "1,1,11,1,11,11,1,11,text\n",
    "icdar2017": "1,1,11,1,11,11,1,11,Latin,text\n",
    "icdar2019": "1,1,11,1,11,11,1,11,Latin,text\n",
    "totaltext": "x: [[1 11 11 1]], y: [[1 1 11 11]], ornt: [u'h'], transcriptions: [u'text']\n",
}


def add(folder, image, label, text, *, label_folder=None, size=(32, 24)):
    """An image and its label; either may be None."""
    if image is not None:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / image)
    if label is not None:
        (folder / label).parent.mkdir(parents=True, exist_ok=True)
        (folder / label).write_text(text, encoding="utf-8")


def names(reading):
    return [scene.name for scene in reading.scenes]


@pytest.mark.parametrize(
    ("format", "split", "image", "label"),
    [
        ("icdar2013", "train", "Challenge2_Training_Task12_Images/100.jpg", "Challenge2_Training_Task1_GT/gt_100.txt"),
        ("icdar2013", "validation", "Challenge2_Test_Task12_Images/img_1.jpg", "Challenge2_Test_Task1_GT/gt_img_1.txt"),
        (
            "icdar2015",
            "train",
            "ch4_training_images/img_1.jpg",
            "ch4_training_localization_transcription_gt/gt_img_1.txt",
        ),
        ("icdar2015", "validation", "ch4_test_images/img_1.jpg", "Challenge4_Test_Task1_GT/gt_img_1.txt"),
        ("icdar2015", "validation", "ch4_test_images/img_1.jpg", "ch4_test_localization_transcription_gt/gt_img_1.txt"),
        (
            "icdar2017",
            "train",
            "ch8_training_images_7/img_5000.gif",
            "ch8_training_localization_transcription_gt_v2/gt_img_5000.txt",
        ),
        (
            "icdar2017",
            "validation",
            "ch8_validation_images/img_1.PNG",
            "ch8_validation_localization_transcription_gt_v2/gt_img_1.txt",
        ),
        ("icdar2019", "train", "ImagesPart2/tr_img_05001.JPG", "train_gt_t13/tr_img_05001.txt"),
        ("totaltext", "train", "Images/Train/img11.jpg", "txt_format/Train/poly_gt_img11.txt"),
        ("totaltext", "validation", "Images/Test/img1.jpg", "Groundtruth/Polygon/Test/poly_gt_img1.txt"),
    ],
)
def test_official_folders_are_found_and_tell_the_format(tmp_path, format, split, image, label):
    add(tmp_path, image, label, LINES[format])

    reading = read_dataset(DatasetSettings(path=str(tmp_path), split=split))

    assert reading.problems == ()
    (scene,) = reading.scenes
    assert scene.image_path == str(tmp_path / image)
    assert scene.name == Path(image).stem
    assert [word.text for word in scene.words] == ["text"]
    assert scene.words[0].source == f"{tmp_path / label}:1"
    assert format_of(DatasetSettings(path=str(tmp_path))).name == format


def make_2017(folder, numbers=(1, 2, 10, 700)):
    for number in numbers:
        add(
            folder,
            f"ch8_training_images_{number % 8 + 1}/img_{number}.jpg",
            f"ch8_training_localization_transcription_gt_v2/gt_img_{number}.txt",
            LINES["icdar2017"],
        )
    return folder


def test_scenes_come_in_the_order_of_their_numbers_from_all_folders(tmp_path):
    reading = read_dataset(DatasetSettings(path=str(make_2017(tmp_path))))

    assert names(reading) == ["img_1", "img_2", "img_10", "img_700"]
    assert reading.problems == ()


def test_numbers_select_scenes_and_silence_the_problems_of_others(tmp_path):
    make_2017(tmp_path)
    labels = "ch8_training_localization_transcription_gt_v2"
    add(tmp_path, None, f"{labels}/gt_img_3.txt", "")
    add(tmp_path, "ch8_training_images_1/img_900.jpg", None, "")
    add(tmp_path, "ch8_training_images_1/img_901.jpg", f"{labels}/gt_img_901.txt", "nonsense")

    assert names(read_dataset(DatasetSettings(path=str(tmp_path), numbers=(2, 2)))) == ["img_2"]
    assert read_dataset(DatasetSettings(path=str(tmp_path), numbers=(4, 899))).problems == ()
    assert len(read_dataset(DatasetSettings(path=str(tmp_path))).errors) == 3
    (problem,) = read_dataset(DatasetSettings(path=str(tmp_path), numbers=(2000, 3000))).problems
    assert "no scenes" in problem.what


def test_missing_partners_are_reported_with_their_files(tmp_path):
    make_2017(tmp_path)
    label = "ch8_training_localization_transcription_gt_v2/gt_img_3.txt"
    add(tmp_path, None, label, LINES["icdar2017"])
    add(tmp_path, "ch8_training_images_1/img_4.png", None, "")

    reading = read_dataset(DatasetSettings(path=str(tmp_path)))

    assert [problem.where for problem in reading.errors] == [
        str(tmp_path / "ch8_training_images_1/img_4.png"),
        str(tmp_path / label),
    ]
    assert "image without a label gt_img_4" in reading.errors[0].what
    assert "label without an image img_3" in reading.errors[1].what
    assert reading.bad_scenes == {"img_3", "img_4"}
    assert names(reading) == ["img_1", "img_2", "img_10", "img_700"]


def test_two_images_or_two_labels_of_a_name_are_reported(tmp_path):
    make_2017(tmp_path, (1, 2))
    add(tmp_path, "ch8_training_images_8/img_1.png", None, "")
    add(tmp_path, None, "ch8_training_localization_transcription_gt_v2/img_2.txt", LINES["icdar2017"])

    reading = read_dataset(DatasetSettings(path=str(tmp_path)))

    assert [problem.what.split(",")[0] for problem in reading.errors] == [
        "second image of the name img_1",
        "second label of img_2",
    ]
    assert reading.good_scenes == ()


def test_files_that_are_not_images_get_a_remark(tmp_path):
    make_2017(tmp_path, (1,))
    for name in ("readme.txt", ".DS_Store", "._img_1.jpg"):
        (tmp_path / "ch8_training_images_2" / name).write_text("x")

    (remark,) = read_dataset(DatasetSettings(path=str(tmp_path))).problems

    assert not remark.fatal
    assert "1 files have no image ending: readme.txt" in remark.what


def test_unreadable_images_and_words_outside_are_reported(tmp_path):
    make_2017(tmp_path, (1, 2, 3))
    (tmp_path / "ch8_training_images_2/img_1.jpg").write_bytes(b"nothing")
    outside = "100,1,110,1,110,11,100,11,Latin,far\n20,20,90,20,90,40,20,40,Latin,partly\n"
    (tmp_path / "ch8_training_localization_transcription_gt_v2/gt_img_2.txt").write_text(outside)

    reading = read_dataset(DatasetSettings(path=str(tmp_path)))

    assert [problem.where for problem in reading.errors] == [str(tmp_path / "ch8_training_images_2/img_1.jpg")]
    assert "is not an image" in reading.errors[0].what
    assert reading.bad_scenes == {"img_1"}
    (remark,) = [problem for problem in reading.problems if not problem.fatal]
    assert "word 'far' lies outside its image of 32 x 24 pixels" in remark.what
    assert read_dataset(DatasetSettings(path=str(tmp_path)), check_images=False).problems == ()


def test_an_image_truncated_within_its_pixels_is_found_also_without_decoding(tmp_path):
    make_2017(tmp_path, (1,))
    path = tmp_path / "ch8_training_images_2/img_1.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-500])

    (error,) = read_dataset(DatasetSettings(path=str(tmp_path))).errors
    assert str(error).startswith(f"{path}: cannot be read as an image")
    assert len(read_dataset(DatasetSettings(path=str(tmp_path)), decode=True).errors) == 1


def test_a_bad_line_keeps_the_scene_and_marks_it(tmp_path):
    make_2017(tmp_path, (1, 2))
    label = tmp_path / "ch8_training_localization_transcription_gt_v2/gt_img_1.txt"
    label.write_text(LINES["icdar2017"] + "1,2,3\n")

    reading = read_dataset(DatasetSettings(path=str(tmp_path)))

    assert [problem.where for problem in reading.errors] == [f"{label}:2"]
    assert [len(scene.words) for scene in reading.scenes] == [1, 1]
    assert [scene.name for scene in reading.good_scenes] == ["img_2"]


def test_all_reads_both_parts_and_keeps_names_apart(tmp_path):
    make_2017(tmp_path, (1, 2))
    gt = "ch8_validation_localization_transcription_gt_v2"
    add(tmp_path, "ch8_validation_images/img_1.jpg", f"{gt}/gt_img_1.txt", "bad line\n")

    reading = read_dataset(DatasetSettings(path=str(tmp_path), split="all"))

    assert names(reading) == ["img_1", "img_2", "ch8_validation_images_img_1"]
    assert reading.bad_scenes == {"ch8_validation_images_img_1"}


def test_all_remarks_on_a_part_without_labels(tmp_path):
    add(
        tmp_path,
        "ch4_training_images/img_1.jpg",
        "ch4_training_localization_transcription_gt/gt_img_1.txt",
        LINES["icdar2015"],
    )
    add(tmp_path, "ch4_test_images/img_1.jpg", None, "")

    reading = read_dataset(DatasetSettings(path=str(tmp_path), split="all"))

    assert names(reading) == ["img_1"]
    assert [problem.fatal for problem in reading.problems] == [False]
    with pytest.raises(ValueError, match="validation part of icdar2015 lacks Challenge4_Test_Task1_GT or"):
        read_dataset(DatasetSettings(path=str(tmp_path), split="validation"))


@pytest.mark.parametrize("format", ["icdar2013", "icdar2015", "icdar2017"])
@pytest.mark.parametrize("label", ["gt_photo.txt", "photo.txt"])
def test_any_folders_can_be_named(tmp_path, format, label):
    add(tmp_path, "photos/photo.webp", f"words/{label}", LINES[format])

    reading = read_dataset(DatasetSettings(path=str(tmp_path), format=format, images="photos", labels="words"))

    assert reading.problems == ()
    assert names(reading) == ["photo"]
    assert len(reading.scenes[0].words) == 1


def test_images_and_labels_may_share_a_folder(tmp_path):
    add(tmp_path, "a_1.jpg", "a_1.txt", LINES["icdar2015"])

    reading = read_dataset(DatasetSettings(path=str(tmp_path), format="icdar2015", images=".", labels="."))

    assert names(reading) == ["a_1"]
    assert reading.problems == ()


def test_own_labels_go_with_official_images(tmp_path):
    make_2017(tmp_path, (1,))
    add(tmp_path, None, "corrected/gt_img_1.txt", "2,2,12,2,12,12,2,12,Latin,corrected\n")

    reading = read_dataset(DatasetSettings(path=str(tmp_path), format="icdar2017", labels="corrected"))

    assert [word.text for word in reading.scenes[0].words] == ["corrected"]


def test_numbers_need_a_number_in_every_name(tmp_path):
    add(tmp_path, "i/photo.jpg", "l/photo.txt", "")

    reading = read_dataset(
        DatasetSettings(path=str(tmp_path), format="icdar2015", images="i", labels="l", numbers=(1, 2))
    )

    assert "the file name has no number" in reading.errors[0].what


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "the format does not follow from the folder names"),
        ({"format": "icdar2015"}, "lacks ch4_training_images"),
        ({"format": "icdar2015", "split": "all"}, "no part of icdar2015"),
        ({"format": "icdar2019", "split": "validation"}, "icdar2019 has no validation folders"),
        (
            {"format": "icdar2015", "images": "nowhere", "labels": "."},
            "nowhere: there is no such folder; correct images",
        ),
        (
            {"format": "icdar2015", "images": ".", "labels": "nowhere"},
            "nowhere: there is no such folder; correct labels",
        ),
        ({"format": "jsonl"}, r"scenes\.jsonl: there is no such file"),
        ({"path": "gone"}, "gone: there is no such file or folder"),
        ({"path": "gone", "format": "icdar2015"}, "gone: there is no such file or folder"),
    ],
)
def test_a_dataset_that_is_not_there_is_refused(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        read_dataset(DatasetSettings(**{"path": str(tmp_path), **given}))


def test_folders_of_two_datasets_need_a_format(tmp_path):
    make_2017(tmp_path, (1,))
    (tmp_path / "ch4_training_images").mkdir()

    with pytest.raises(ValueError, match="icdar2015 and icdar2017; choose one with format"):
        read_dataset(DatasetSettings(path=str(tmp_path)))
    assert names(read_dataset(DatasetSettings(path=str(tmp_path), format="icdar2017"))) == ["img_1"]


def test_json_lines_are_read_by_file_or_folder(tmp_path):
    source = read_dataset(DatasetSettings(path=str(make_2017(tmp_path))))
    write_scenes(tmp_path / "scenes.jsonl", source.scenes)

    for settings in (
        DatasetSettings(path=str(tmp_path / "scenes.jsonl")),
        DatasetSettings(path=str(tmp_path), format="jsonl"),
        DatasetSettings(path=str(tmp_path), format="jsonl", labels="scenes.jsonl", images="."),
    ):
        reading = read_dataset(settings)
        assert reading.problems == ()
        assert [scene.image_path for scene in reading.scenes] == [scene.image_path for scene in source.scenes]
    assert names(read_dataset(DatasetSettings(path=str(tmp_path / "scenes.jsonl"), numbers=(2, 10)))) == [
        "img_2",
        "img_10",
    ]


def test_truth_is_read_from_label_files_alone(tmp_path):
    add(tmp_path, None, "gt_img_10.txt", LINES["icdar2015"])
    add(tmp_path, None, "gt_img_9.txt", "")

    scenes = read_truth(DatasetSettings(path=str(tmp_path), format="icdar2015"))

    assert [(scene.name, scene.image_path, len(scene.words)) for scene in scenes] == [
        ("img_9", "", 0),
        ("img_10", "", 1),
    ]
    assert len(read_truth(DatasetSettings(path=str(tmp_path), format="icdar2015", numbers=(10, 10)))) == 1
    with pytest.raises(ValueError, match="format of label files alone is never guessed"):
        read_truth(DatasetSettings(path=str(tmp_path)))


def test_truth_is_read_from_a_dataset_and_from_json_lines(tmp_path):
    make_2017(tmp_path, (1, 2))
    scenes = read_truth(DatasetSettings(path=str(tmp_path), format="icdar2017"))
    write_scenes(tmp_path / "scenes.jsonl", scenes)

    again = read_truth(DatasetSettings(path=str(tmp_path / "scenes.jsonl"), format="icdar2017"))

    assert [scene.name for scene in scenes] == [scene.name for scene in again] == ["img_1", "img_2"]
    assert scenes[0].image_path == again[0].image_path == str(tmp_path / "ch8_training_images_2/img_1.jpg")


@pytest.mark.parametrize("note", ["readme.txt", "classes.txt"])
def test_notes_beside_labels_are_passed_over(tmp_path, note):
    make_2017(tmp_path, (1, 2))
    labels = tmp_path / "ch8_training_localization_transcription_gt_v2"
    for folder in (tmp_path, labels):
        (folder / note).write_text("Signs of our street.\n", encoding="utf-8")
    settings = DatasetSettings(path=str(tmp_path), format="icdar2017")

    reading = read_dataset(settings)

    assert not reading.errors
    assert [problem.where for problem in reading.problems] == [str(labels / note)]
    assert len(read_truth(settings)) == 2
    assert len(read_truth(settings.model_copy(update={"path": str(labels)}))) == 2


def test_truth_with_an_error_is_refused_with_its_line(tmp_path):
    add(tmp_path, None, "gt_img_1.txt", "bad\n")

    with pytest.raises(ValueError, match=r"1 errors in the ground truth(.|\n)*gt_img_1\.txt:1: 1 fields"):
        read_truth(DatasetSettings(path=str(tmp_path), format="icdar2015"))


@pytest.mark.skipif(REAL is None, reason="CRAFT_REAL_DATA names no folder of real scenes")
def test_real_scenes_in_the_2017_layout_give_the_same_words(tmp_path):
    source = Path(str(REAL)) / "icdar2015"
    images, labels = tmp_path / "ch8_training_images_1", tmp_path / "ch8_training_localization_transcription_gt_v2"
    images.mkdir()
    labels.mkdir()
    for image in (source / "ch4_training_images").iterdir():
        (images / image.name).symlink_to(image)
    for label in (source / "ch4_training_localization_transcription_gt").iterdir():
        lines = [line.split(",", 8) for line in label.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        rows = [",".join([*line[:8], "None" if line[8] == "###" else "Latin", line[8]]) for line in lines]
        (labels / label.name).write_text("\n".join(rows) + "\n", encoding="utf-8")

    original = read_dataset(DatasetSettings(path=str(source)), check_images=False)
    converted = read_dataset(DatasetSettings(path=str(tmp_path)), check_images=False)

    assert converted.problems == original.problems == ()
    assert names(converted) == names(original)
    for first, second in zip(original.scenes, converted.scenes, strict=True):
        assert [(word.text, word.dont_care) for word in first.words] == [
            (word.text, word.dont_care) for word in second.words
        ]
        for word, other in zip(first.words, second.words, strict=True):
            np.testing.assert_array_equal(word.polygon_xy, other.polygon_xy)
    assert sum(len(scene.words) for scene in converted.scenes) == 11886
