"""What docs/mistakes.md says that craft prints is what it prints."""

import contextlib
import json
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from craft.cli.command import main

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "mistakes.md"
WORD = "20,30,72,30,72,64,20,64,HI"


def _scenes(folder, *, labels=WORD, encoding="utf-8"):
    images, texts = folder / "ch4_training_images", folder / "ch4_training_localization_transcription_gt"
    image = np.full((96, 128, 3), 230, np.uint8)
    cv2.putText(image, "HI", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 3)
    for part in (images, texts):
        part.mkdir(parents=True)
    for number in (1, 2):
        cv2.imwrite(str(images / f"img_{number}.jpg"), image)
        (texts / f"gt_img_{number}.txt").write_text(labels + "\n", encoding=encoding)


def make_folder(folder):
    """The folder in which the page's commands are given."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    _scenes(folder / "scenes")
    _scenes(folder / "crossed", labels="20,30,72,64,72,30,20,64,HI")
    _scenes(folder / "latin1", labels=WORD.replace("HI", "CAFÉ"), encoding="latin-1")
    _scenes(folder / "boxes", labels=WORD.removesuffix("HI"))
    shutil.copy(folder / "scenes/ch4_training_images/img_1.jpg", folder / "photo.jpg")
    value = {"x": 16, "y": 31, "width": 40, "height": 35, "rotation": 0}
    common = {"id": "a", "original_width": 128, "original_height": 96, "value": {**value, "text": ["HI"]}}
    for name, content in (
        ("my_project", {"data": {"ocr": "photo.jpg"}, "annotations": [{"result": [{**common, "type": "textarea"}]}]}),
        ("json_min", {"ocr": "photo.jpg", "bbox": [value], "transcription": "HI"}),
    ):
        (folder / name).mkdir()
        shutil.copy(folder / "photo.jpg", folder / name / "photo.jpg")
        (folder / name / "project-1.json").write_text(json.dumps([content]), encoding="utf-8")
    (folder / "runs/old").mkdir(parents=True)
    (folder / "runs/old/last.pt").write_bytes(b"a checkpoint")
    (folder / "found").mkdir()


def printed_by(command, capsys):
    """What a person reads: the lines of both streams, without progress bars."""
    with contextlib.suppress(SystemExit):
        main(shlex.split(command)[1:])
    captured = capsys.readouterr()
    lines = re.split(r"[\r\n]+", captured.out + "\n" + captured.err)
    return [line.rstrip() for line in lines if line.strip() and not re.search(r"it/s|s/it|^usage: |^  +\[", line)]


def mistakes():
    """Each block of the page: a command, and the lines below it."""
    for block in re.findall(r"^```text\n\$ (.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        command, *lines = block.splitlines()
        yield command, lines


@pytest.mark.parametrize(("command", "lines"), [*mistakes()], ids=lambda value: value if isinstance(value, str) else "")
def test_the_page_of_mistakes_says_what_craft_prints(command, lines, tmp_path, monkeypatch, capsys):
    make_folder(tmp_path)
    monkeypatch.chdir(tmp_path)

    printed = " ".join(printed_by(command, capsys))

    assert " ".join(" ".join(lines).split()) in " ".join(printed.split())


def test_the_page_has_fifteen_mistakes():
    assert len(list(mistakes())) >= 15
