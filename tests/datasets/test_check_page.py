"""The page of `craft check`, and what counts as suspicious."""

import cv2
import numpy as np

from craft.cli.command import main
from craft.datasets.suspicious import suspicious_words
from craft.decode.detections import Detections
from craft.detection.label_audit import audit_labels
from craft.scene import Scene, Word


def box(left, top, width, height):
    return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]], np.float32)


def kinds(*words):
    return [suspect.kind for suspect in suspicious_words([Scene("a.jpg", words, "a")])]


def test_words_that_look_right_are_not_suspicious():
    assert (
        kinds(Word(box(0, 0, 60, 20), "right"), Word(box(0, 30, 10, 20), "I"), Word(box(0, 60, 16, 80), "tall")) == []
    )


def test_each_kind_of_suspect_is_named():
    assert kinds(Word(box(0, 0, 20, 3), "tiny")) == ["under 4 pixels"]
    assert kinds(Word(box(0, 0, 300, 20), "abc")) == ["box too long for its text"]
    assert kinds(Word(box(0, 0, 20, 20), "a whole line of text in it")) == ["text too long for its box"]
    assert kinds(Word(box(0, 0, 60, 20), "twice"), Word(box(1, 0, 60, 20), "twice")) == ["labelled twice"]
    small = [Word(box(300, 10 * row, 40, 9), "small") for row in range(3)]
    assert kinds(Word(box(0, 0, 900, 300), "page"), *small) == ["over 8 times as tall as the scene's other words"]


def test_dont_care_words_are_never_suspicious():
    assert kinds(Word(box(0, 0, 300, 2), None, dont_care=True)) == []


def test_a_network_names_words_it_does_not_see_and_text_without_a_label(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((80, 200, 3), 200, np.uint8))
    words = (
        Word(box(0, 0, 60, 20), "seen"),
        Word(box(0, 40, 60, 20), "unseen"),
        Word(box(100, 0, 9, 9), dont_care=True),
    )
    quads = np.stack([box(1, 0, 60, 20), box(120, 40, 60, 20), box(100, 0, 9, 9), box(120, 60, 60, 19)])

    class Network:
        def detect(self, image):
            return Detections(quads, np.array([0.9, 0.8, 0.9, 0.3], np.float32))

    scenes = [Scene(str(tmp_path / "a.jpg"), words, "a"), Scene(str(tmp_path / "absent.jpg"), words, "b")]
    suspects = audit_labels(scenes, Network())

    assert [(suspect.kind.split(" that ")[0], suspect.text) for suspect in suspects] == [
        ("text", ""),
        ("word", "unseen"),
    ]


def test_the_page_holds_errors_distributions_and_drawings_and_nothing_from_elsewhere(tmp_path, capsys):
    folder = tmp_path / "set"
    images, labels = folder / "ch4_training_images", folder / "ch4_training_localization_transcription_gt"
    images.mkdir(parents=True)
    labels.mkdir()
    cv2.imwrite(str(images / "img_1.jpg"), np.full((80, 200, 3), 200, np.uint8))
    (labels / "gt_img_1.txt").write_text("10,10,190,10,190,20,10,20,<i>\n10,40,60,40,60,60,10,60,word\nbad line\n")

    status = main(["check", str(folder), "--page", str(tmp_path / "page.html")])

    assert status == 1
    assert "1 suspicious labels" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "gt_img_1.txt:3" in page
    assert "1 scene of the train split read" in page
    assert "box too long for its text: 1" in page
    assert "data:image/jpeg;base64," in page
    assert "&lt;i&gt;" in page
    assert "<i>" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_weights_without_a_page_are_refused(tmp_path, capsys):
    assert main(["check", str(tmp_path), "--weights", "small"]) == 2
    assert "add --page FILE.html" in capsys.readouterr().err
