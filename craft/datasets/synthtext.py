"""SynthText: images with rendered text and the quads of words and of every character, in one `gt.mat`.

imnames  (1, N) paths of the images, "8/ballet_106_24.jpg"
wordBB   (1, N) of (2, 4, words), or (2, 4) for one word: x and y of the corners, clockwise from the top-left
charBB   (1, N) of (2, 4, characters): the same for the characters of all words in order, spaces left out
txt      (1, N) of texts; each may hold several lines, and words are what white space separates
"""

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from craft.config import DatasetSettings
from craft.datasets.label_format import LabelFormat, Match
from craft.datasets.labels import LARGEST_COORDINATE, DatasetReading, ReadingBuilder
from craft.errors import Problem, refuse_device
from craft.geometry import clockwise, signed_area
from craft.scene import Scene, Word

_FILE = "gt.mat"
_KEYS = ("imnames", "wordBB", "charBB", "txt")


def read_synthtext(settings: DatasetSettings) -> DatasetReading:
    """Read SynthText's ground truth; the whole of it, 858,750 images, takes several GiB of memory as scenes.

    A scene of which words, characters and text do not go together has no words. A word whose quad or one of whose
    characters has no area or crosses itself becomes don't care, or is left out where it covers nothing; the published file
    has many, so this is a remark. The settings' `path` is `gt.mat` or its folder. Problems as in `read_mat`.

    Source: Gupta, Vedaldi, Zisserman, Synthetic Data for Text Localisation in Natural Images, CVPR 2016.
    """
    path = Path(settings.path)
    folder = path if path.is_dir() else path.parent
    path = folder / (settings.labels or _FILE) if path.is_dir() else path
    images = folder / settings.images if settings.images else folder
    first, last = settings.numbers or (1, 1 << 62)
    builder = ReadingBuilder()
    fields = read_mat(path, _KEYS)
    columns = [np.ravel(fields[key]) for key in _KEYS]
    if len({len(column) for column in columns}) != 1:
        counts = ", ".join(f"{key} {len(column)}" for key, column in zip(_KEYS, columns, strict=True))
        raise Problem(f"fields differ in length ({counts})", "download the file again", where=str(path))
    for number, (image, word_boxes, character_boxes, texts) in enumerate(zip(*columns, strict=True), 1):
        if first <= number <= last:
            where, image_name = f"{path}:{number}", _image_name(images, image)
            words: tuple[Word, ...] = ()
            try:
                words, problems = _read_words(word_boxes, character_boxes, texts, where)
            except Problem as problem:
                problems = [problem.at(where)]
            builder.add(Scene(str(images / image_name), words, Path(image_name).stem), problems)
    return builder.build()


def read_mat(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """Read a MATLAB file; a Problem says that scipy, the file or one of the fields `keys` is missing."""
    where = str(path)
    refuse_device(path, "give a file")
    try:
        from scipy.io import loadmat
    except ImportError:
        raise Problem("reading .mat files needs scipy", "install it (pip install scipy)", where=where) from None
    try:
        fields = loadmat(str(path), variable_names=list(keys))
    except Exception as error:  # scipy meets damaged files with errors of its own, of zlib, of indexing and others
        what = f"cannot be read as a MATLAB file ({error})"
        raise Problem(what, "download it again", where=where) from error
    missing = [key for key in keys if key not in fields]
    if missing:
        remedy = "give the dataset's own label file"
        raise Problem(f"lacks the fields {', '.join(missing)}", remedy, where=where)
    return fields


def _read_words(
    word_boxes: NDArray, character_boxes: NDArray, texts: NDArray, where: str
) -> tuple[tuple[Word, ...], list[Problem]]:
    words = [word for text in np.ravel(texts) for word in str(text).split()]
    word_quads = _quads(word_boxes, "wordBB")
    character_quads = _quads(character_boxes, "charBB")
    lengths = [len(word) for word in words]
    if len(word_quads) != len(words) or len(character_quads) != sum(lengths):
        what = (
            f"{len(words)} words of {sum(lengths)} characters in txt, {len(word_quads)} quads in wordBB and "
            f"{len(character_quads)} in charBB"
        )
        raise Problem(what, "correct the file, or leave the scene out")
    given, given_characters = word_quads, character_quads
    word_quads, word_good = _checked(word_quads)
    character_quads, character_good = _checked(character_quads)
    ends = np.cumsum([0, *lengths])
    found: list[Word] = []
    problems: list[Problem] = []
    for index, word in enumerate(words):
        own = slice(ends[index], ends[index + 1])
        if word_good[index] and character_good[own].all():
            found.append(Word(word_quads[index], word, character_quads_xy=character_quads[own], source=where))
        else:
            outline = word_quads[index] if word_good[index] else _outline(given_characters[own], given[index])
            fate = "is left out" if outline is None else "is don't care"
            what = f"word {index + 1} {word!r} or one of its characters has no area, or sides that cross, so it {fate}"
            problems.append(Problem(what, "correct its quads to train on it", where=where, fatal=False))
            if outline is not None:
                found.append(Word(outline, None, dont_care=True, source=where))
    return tuple(found), problems


def _outline(character_quads: NDArray[np.float32], word_quad: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The smallest rectangle around a bad word's corners and its characters; None without an area."""
    points = np.concatenate([character_quads.reshape(-1, 2), word_quad])
    points = points[np.isfinite(points).all(axis=1) & (np.abs(points) <= LARGEST_COORDINATE).all(axis=1)]
    rectangle = shapely.minimum_rotated_rectangle(shapely.multipoints(points.astype(np.float64)))
    if rectangle.geom_type != "Polygon" or rectangle.area == 0:
        return None
    return clockwise(np.asarray(rectangle.exterior.coords)[:4])


def _image_name(folder: Path, cell: NDArray) -> str:
    name = str(np.ravel(cell)[0])
    return name.replace("\\", "/") if "\\" in name and not (folder / name).exists() else name


def _quads(boxes: NDArray, what: str) -> NDArray[np.float32]:
    boxes = np.asarray(boxes, dtype=np.float32)
    if boxes.size == 0:
        return np.zeros((0, 4, 2), np.float32)
    if boxes.ndim == 2:
        boxes = boxes[..., None]
    if boxes.ndim != 3 or boxes.shape[:2] != (2, 4):
        raise Problem(f"{what} is an array of {list(boxes.shape)} numbers, wanted [2, 4, count]", "correct the file")
    return np.ascontiguousarray(boxes.transpose(2, 1, 0))


def _checked(quads: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Quads made clockwise, and which of them are finite, have an area and no crossing sides."""
    usable = np.isfinite(quads) & (np.abs(quads) <= LARGEST_COORDINATE)
    finite = np.asarray(usable.reshape(-1, 8).all(axis=1))
    safe = np.where(finite[:, None, None], quads, np.float32(0))
    area = signed_area(safe)
    good = finite & (area != 0) & np.asarray(shapely.is_valid(shapely.polygons(safe.astype(np.float64))))
    reversed_quads = safe[:, [0, 3, 2, 1]]
    return np.where((area < 0)[:, None, None], reversed_quads, safe), good


def _recognise(path: Path) -> Match:
    if path.suffix.lower() == ".mat" and path.is_file():
        return Match.CERTAIN
    return Match.OFFICIAL if (path / _FILE).is_file() else Match.NONE


FORMAT = LabelFormat("synthtext", _recognise, read_synthtext)
