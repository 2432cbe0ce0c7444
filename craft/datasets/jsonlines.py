"""Scenes as JSON Lines: one scene a line, so that people can bring polygons and characters of their own.

    {"image": "images/img_1.jpg", "words": [
        {"quad": [[377, 117], [463, 117], [465, 130], [378, 130]], "text": "Genaxis", "script": "Latin"},
        {"polygon": [[10, 20], [60, 5], [110, 20], [110, 45], [60, 30], [10, 45]], "text": "curved",
         "characters": [[[10, 20], [25, 15], [25, 40], [10, 45]], ...], "confidence": 1.0},
        {"quad": [[493, 115], [519, 115], [519, 131], [493, 131]], "dont_care": true}]}

(broken up here for reading; in a file each scene is one line). A scene's keys:

    image        path of the image, relative to the folder of this file
    words        list of words; [] for an image without text
    name         what results are filed under; the image's file name without its ending where left out
    note         anything, not read; a line with a note alone is about the file, not a scene

A word's keys:

    quad         4 corners [x, y] in pixels of the image, (0, 0) at the top-left corner of the top-left pixel;
                 clockwise from the top-left of the text as it reads
    polygon      instead of quad: 4 or more corners, the upper side in reading order, then the lower side backwards
    text         the transcription; left out, null, "" or "###" where there is none
    script       "Latin", "Arabic", ...
    dont_care    true where the word is to be in no loss and no score; also so without text and characters
    characters   one quad per character in reading order, spaces left out; left out where unknown
    confidence   how far the characters are trusted, 0 to 1; 1 where left out
    note         anything, not read
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

from craft.atomic_files import open_atomic
from craft.config import DatasetSettings
from craft.datasets.file_pairs import Numbers, is_in_range
from craft.datasets.json_fields import (
    character_corners,
    check_name,
    check_path,
    confidence_of,
    corners_of,
    plain_numbers,
    refuse_unknown,
    typed,
    use_slashes,
)
from craft.datasets.label_format import LabelFormat, LabelWriter, Match, SceneToWrite
from craft.datasets.labels import (
    DatasetReading,
    ReadingBuilder,
    join_readings,
    make_word,
    read_label_text,
    shorten,
    split_lines,
)
from craft.errors import Problem
from craft.scene import Scene, Word

_FILE, _GENERATED = "scenes.jsonl", "generator.json"
_SCENE_KEYS = ("image", "words", "name", "note")
_WORD_KEYS = ("quad", "polygon", "text", "script", "dont_care", "characters", "confidence", "note")


def read_json_lines(path: Path, *, image_folder: Path | None = None, numbers: Numbers = None) -> DatasetReading:
    """Read a JSON Lines file of scenes, without looking at their images.

    Image paths are relative to `image_folder`, or to the file's own folder. Nothing is reported of scenes outside `numbers`.
    """
    folder = image_folder if image_folder is not None else path.parent
    builder, names = ReadingBuilder(), set[str]()
    try:
        lines = split_lines(read_label_text(path))
    except Problem as problem:
        return DatasetReading((), (problem.at(str(path)),))
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            record = _read_record(line)
            if set(record) == {"note"}:
                continue
            use_slashes(record, folder)
            name = _scene_name(record)
            if not is_in_range(name, numbers):
                continue
            if name in names:
                raise Problem(f"second scene of the name {shorten(name)}", 'give it another with "name"')
            builder.add(*_read_scene(record, name, lambda image: str(folder / image), where))
            names.add(name)
        except Problem as problem:
            builder.problems.append(problem.at(where))
    return builder.build()


def write_scenes(
    path: str | Path, scenes: Iterable[Scene], *, note: Any = None, scene_notes: Iterable[Any] | None = None
) -> None:
    """Write scenes as JSON Lines, to a temporary file that then takes the place of `path`.

    Reading them back gives the same numbers to the last bit, and the same words but for `source`. Image paths are written
    relative to the file's folder. `note`, what JSON can hold, gets a first line of its own; `scene_notes` holds a note for
    each scene.
    """
    path = Path(path)
    folder = os.path.abspath(path.parent)
    with open_atomic(path) as file:
        if note is not None:
            file.write(_json_line({"note": note}).encode())
        for scene, scene_note in zip(scenes, scene_notes if scene_notes is not None else repeat(None), strict=False):
            image = Path(os.path.relpath(os.path.abspath(scene.image_path), folder)).as_posix()
            record = _scene_record(scene, image)
            file.write(_json_line(record if scene_note is None else {**record, "note": scene_note}).encode())


def line_of_scene(scene: Scene, *, image: str) -> str:
    """Write one scene, whose image is at the path `image`, as a line with its end."""
    return _json_line(_scene_record(scene, image))


def scene_of_line(line: str, where: str, *, locate: Callable[[str], str]) -> tuple[Scene, list[Problem]]:
    """Read one scene from a line, with problems for words that are left out; raise a Problem if it holds no scene.

    `where` locates the line in messages; `locate` gives the path of the image that the line names.
    """
    try:
        record = _read_record(line)
        return _read_scene(record, _scene_name(record), locate, where)
    except Problem as problem:
        raise problem.at(where) from None


def _json_line(record: dict[str, Any]) -> str:
    line = json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
    try:
        line.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8; escaped, it is read back as it was
        line = json.dumps(record, separators=(",", ":")) + "\n"
    return line


def _read_record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise Problem(f"not JSON ({error})", "write one scene a line, without line breaks inside") from error
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, or lists nested as deeply
        raise Problem(f"cannot be read ({error})", "correct the line") from error
    if not isinstance(record, dict):
        raise Problem(f"expected a scene {{...}}, found {shorten(line)}", 'write {"image": ..., "words": [...]}')
    return record


def _scene_name(record: dict[str, Any]) -> str:
    refuse_unknown(record, _SCENE_KEYS, "scene")
    image = record.get("image")
    if not isinstance(image, str) or not image:
        raise Problem(f"image is {shorten(str(image))}, not the path of an image", 'give "image"')
    name = record.get("name", Path(image).stem)
    if not isinstance(name, str) or not name:
        raise Problem(f"name is {shorten(str(name))}, not a string", 'correct "name" or leave it out')
    check_path(image, "image")
    check_name(name)
    return name


def _read_scene(
    record: dict[str, Any], name: str, locate: Callable[[str], str], where: str
) -> tuple[Scene, list[Problem]]:
    labels = record.get("words")
    if not isinstance(labels, list):
        raise Problem("words is missing or not a list", 'give "words": [] for an image without text')
    words: list[Word] = []
    problems: list[Problem] = []
    for index, label in enumerate(labels, 1):
        try:
            words.append(_read_word(label, where))
        except Problem as problem:
            problems.append(Problem(f"word {index}: {problem.what}", problem.remedy, where=where))
    return Scene(image_path=locate(record["image"]), words=tuple(words), name=name), problems


def _read_word(label: Any, where: str) -> Word:
    if not isinstance(label, dict):
        raise Problem(f"expected a word {{...}}, found {shorten(str(label))}", 'write {"quad": ..., "text": ...}')
    refuse_unknown(label, _WORD_KEYS, "word")
    if ("quad" in label) == ("polygon" in label):
        raise Problem("has both quad and polygon, or neither", "give one of the two")
    key = "quad" if "quad" in label else "polygon"
    polygon = corners_of(label[key], key, fixed=4 if key == "quad" else None)
    characters = label.get("characters")
    if characters is not None:
        if not isinstance(characters, list):
            raise Problem(
                "characters is not a list of quads", 'give 4 corners per character, or leave "characters" out'
            )
        characters = character_corners(characters)
    return make_word(
        polygon,
        text=typed(label, "text", str, None),
        script=typed(label, "script", str, "") or "",
        dont_care=bool(typed(label, "dont_care", bool, False)),
        character_quads_xy=characters,
        confidence=confidence_of(label),
        source=where,
    )


def _scene_record(scene: Scene, image: str) -> dict[str, Any]:
    record: dict[str, Any] = {"image": image}
    if scene.name != Path(image).stem:
        record["name"] = scene.name
    record["words"] = [_word_record(word) for word in scene.words]
    return record


def _word_record(word: Word) -> dict[str, Any]:
    record: dict[str, Any] = {"quad" if len(word.polygon_xy) == 4 else "polygon": plain_numbers(word.polygon_xy)}
    if word.text is not None:
        record["text"] = word.text
    if word.script:
        record["script"] = word.script
    if word.dont_care and not word.untranscribed:
        record["dont_care"] = True
    if word.character_quads_xy is not None and len(word.character_quads_xy):
        record["characters"] = plain_numbers(word.character_quads_xy)
    if word.confidence != 1.0:
        record["confidence"] = word.confidence
    return record


def is_generated(path: Path) -> bool:
    """Whether `craft synth` wrote a folder: its scenes.jsonl has the characters that its ICDAR label files lack."""
    return (path / _FILE).is_file() and (path / _GENERATED).is_file()


def _recognise(path: Path) -> Match:
    if is_generated(path) or (path.suffix.lower() == ".jsonl" and path.is_file()):
        return Match.CERTAIN
    return Match.POSSIBLE if (path / _FILE).is_file() else Match.NONE


def _read(settings: DatasetSettings) -> DatasetReading:
    path = Path(settings.path)
    images = path / settings.images if settings.images else None
    paths = [path / settings.labels if settings.labels else path]
    if path.is_dir() and settings.labels is None:
        paths = _files_of_split(path, settings.split)
    if not paths[0].is_file():
        raise ValueError(f"{paths[0]}: there is no such file; give the .jsonl file as path, or its name as labels")
    readings = [read_json_lines(path, image_folder=images, numbers=settings.numbers) for path in paths]
    for number, (reading, path) in enumerate(zip(readings[1:], paths[1:], strict=True), 1):  # both begin with img_1
        scenes = tuple(replace(scene, name=f"{path.stem}_{scene.name}") for scene in reading.scenes)
        bad = frozenset(f"{path.stem}_{name}" for name in reading.bad_scenes)
        readings[number] = DatasetReading(scenes, reading.problems, bad)
    return join_readings(readings)


def _files_of_split(folder: Path, split: str) -> list[Path]:
    """The label files of a split in a folder: the generator gives the second split that it writes one of its own."""
    found = [folder / f"scenes_{name}.jsonl" for name in ("train", "validation") if split in (name, "all")]
    own = [path for path in found if is_generated(folder) and path.is_file()]
    return own if own and split != "all" else [folder / _FILE, *own]


def _write(scenes: Sequence[SceneToWrite], path: Path) -> None:
    write_scenes(path, (written.scene for written in scenes))


FORMAT = LabelFormat(
    *("jsonl", _recognise, _read),
    resembles=lambda text: text.startswith('{"image"'),
    writer=LabelWriter(_write, _FILE, exact=True),
)
