"""Datasets that label whole lines: SCUT-CTW1500, lines of any shape, and MSRA-TD500, lines at any angle.

    CTW1500      <image file="0200.jpg"><box ...><label>OLATHE</label><segs>131,58,208,49,...</segs>...</box></image>
                 x1,y1,...,x14,y14,####transcription          (its test labels, 0001001.txt for 1001.jpg)
                 xmin,ymin,xmax,ymax,dx1,dy1,...,dx14,dy14    (its first labels, without transcriptions)
    MSRA-TD500   index difficult x y width height angle       (IMG_0030.gt beside IMG_0030.JPG; the angle in radians)

CTW1500's corners run along the upper side in reading order, then backwards along the lower side. A line that
CTW1500 marks ### or MSRA-TD500 difficult is don't care; one without a transcription is so for characters alone.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from craft.datasets.file_pairs import list_files
from craft.datasets.folders import FolderLayout, OfficialFolders
from craft.datasets.label_format import LabelFormat, Match, folder_format
from craft.datasets.labels import Words, make_word, numbered_lines, read_words, shorten
from craft.datasets.tool_files import load_xml
from craft.errors import Problem
from craft.scene import Word

_MARK = "####"  # before a transcription of CTW1500
_CORNERS = 14
_CTW_REMEDY = "write x1,y1,...,x14,y14,####transcription"
_TD_REMEDY = "write index difficult x y width height angle"


def read_ctw1500(path: Path) -> Words:
    """Read the lines of an image from an .xml or .txt file.

    Source: Liu et al., Curved Scene Text Detection via Transverse and Longitudinal Sequence Connection, Pattern
        Recognition 2019; readme of the dataset's three releases.
    """
    if path.suffix.lower() == ".xml":
        return read_words(path, _boxes, _parse_box)
    return read_words(path, numbered_lines, _parse_ctw_line)


def read_td500(path: Path) -> Words:
    """Read the lines of an image from a .gt file.

    Source: Yao et al., Detecting Texts of Arbitrary Orientations in Natural Images, CVPR 2012; the dataset's page.
    """
    return read_words(path, numbered_lines, _parse_td_line)


def _boxes(path: Path) -> list[tuple[str, tuple[str, str]]]:
    boxes = enumerate(load_xml(path).iter("box"), 1)
    return [(f"{path}:box {n}", (box.findtext("segs") or "", box.findtext("label") or "")) for n, box in boxes]


def _parse_box(box: tuple[str, str], where: str) -> Word:
    corners, text = box
    return _line(_numbers(corners.split(","), corners, _CTW_REMEDY), text, where)


def _parse_ctw_line(line: str, where: str) -> Word:
    coordinates, mark, text = line.partition(_MARK)
    numbers = _numbers(coordinates.rstrip().rstrip(",").split(","), line, _CTW_REMEDY)
    if not mark and len(numbers) == 4 + 2 * _CORNERS:
        numbers = numbers[4:] + np.tile(numbers[:2], _CORNERS)
    return _line(numbers, text if mark else "", where)


def _line(numbers: NDArray[np.float64], text: str, where: str) -> Word:
    if len(numbers) < 8 or len(numbers) % 2:
        raise Problem(f"{len(numbers)} coordinates, wanted {2 * _CORNERS}", _CTW_REMEDY)
    return make_word(numbers.reshape(-1, 2), text=text, source=where)


def _parse_td_line(line: str, where: str) -> Word:
    numbers = _numbers(line.split(), line, _TD_REMEDY)
    if len(numbers) != 7:
        raise Problem(f"{len(numbers)} fields in {shorten(line)}, wanted 7", _TD_REMEDY)
    _index, difficult, left, top, width, height, angle = numbers.tolist()
    half = 0.5 * np.array([[-width, -height], [width, -height], [width, height], [-width, height]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # clockwise on the screen
    corners = half @ turn + (left + 0.5 * width, top + 0.5 * height)
    return make_word(corners, text=None, dont_care=difficult != 0, source=where)


def _numbers(fields: list[str], line: str, remedy: str) -> NDArray[np.float64]:
    try:
        return np.array(fields, dtype=np.float64)
    except ValueError:
        raise Problem(f"a coordinate is not a number in {shorten(line)}", remedy) from None


_CTW1500 = FolderLayout(
    "ctw1500",
    read_ctw1500,
    {
        "train": OfficialFolders(
            ("train_images", "train/text_image"), ("ctw1500_train_labels", "train/text_label_curve")
        ),
        "validation": OfficialFolders(("test_images", "test/text_image"), ("gt_ctw1500", "test/text_label_curve")),
    },
    (".xml", ".txt"),
)
_TD500 = FolderLayout(
    "td500",
    read_td500,
    {
        part: OfficialFolders((f"MSRA-TD500/{folder}", folder), (f"MSRA-TD500/{folder}", folder))
        for part, folder in (("train", "train"), ("validation", "test"))
    },
    (".gt",),
)


def _recognise_td500(path: Path) -> Match:
    """Its folders have names that many datasets share; its label files do not."""
    folders = [folder for part in _TD500.parts.values() for folder in part.found_in(path)[1]]
    found = any(file.suffix.lower() == ".gt" for folder in folders for file in list_files(folder))
    return Match.OFFICIAL if found else Match.NONE


FORMATS = (
    folder_format("ctw1500", _CTW1500, resembles=lambda text: "<segs>" in text or f",{_MARK}" in text),
    LabelFormat("td500", _recognise_td500, _TD500.read, _TD500),
)
