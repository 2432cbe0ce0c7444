"""Label files of annotation tools: JSON and XML read and written, and a sample by which a format is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from craft.atomic_files import write_atomic
from craft.datasets.labels import read_label_text
from craft.errors import Problem, refuse_device
from craft.scene import Word


def sample_of(file: Path, *, size: int = 1 << 16) -> str:
    """The start and the end of a file, enough to tell its format."""
    with open(file, "rb") as stream:
        start = stream.read(size)
        stream.seek(max(size, file.stat().st_size - size))
        return (start + stream.read(size)).decode("utf-8-sig", errors="replace")


def load_json(path: Path) -> Any:
    """Read a JSON file; a Problem names the line where it is none."""
    try:
        return json.loads(read_label_text(path))
    except json.JSONDecodeError as error:
        raise Problem(f"not JSON ({error.msg})", "export it again", where=f"{path}:{error.lineno}") from None
    except RecursionError as error:
        raise Problem(f"cannot be read ({error})", "export it again", where=str(path)) from None


def load_xml(path: Path) -> ElementTree.Element:
    """Read an XML file without its namespaces; a Problem names the line where it is none."""
    refuse_device(path, "give a file")
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise Problem(f"cannot be read ({error.strerror})", "restore the file", where=str(path)) from None
    except ElementTree.ParseError as error:
        raise Problem(f"not XML ({error})", "export it again", where=f"{path}:{error.position[0]}") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def write_json(path: Path, content: Any) -> None:
    """Write a label file."""
    write_atomic(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write_xml(path: Path, root: ElementTree.Element) -> None:
    """Write a label file."""
    ElementTree.indent(root)
    write_atomic(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def write_text(word: Word) -> str:
    """The transcription of a word in a label file; "###" for don't care, "" where it is missing."""
    return "###" if word.dont_care else word.text or ""


def has_all(*signs: str) -> Callable[[str], bool]:
    """A test whether a text holds all signs."""
    return lambda text: all(sign in text for sign in signs)
