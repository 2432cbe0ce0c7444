"""Images that files, folders and globs stand for, and what in them is passed over."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from craft.errors import Problem
from craft.images.reader import IMAGE_ENDINGS

DRAWN = ".drawn.jpg"
_READ_BY_NAME = IMAGE_ENDINGS | {
    *(".jfif", ".jpe", ".jp2", ".j2k", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".apng", ".dib", ".tga")
}


def find_images(paths: Iterable[str | Path]) -> tuple[list[Path], list[Problem]]:
    """List the images that files, folders and globs stand for; a file that is named itself may have any ending.

    Folders are searched with their linked folders. Drawings of an earlier run and macOS's `._` files are left out.

    Returns:
        The files, each once, in the order of `paths` and by name inside a folder or glob; a problem for each path that
        stands for no image; and a remark, not fatal, on files of other kinds in folders.
    """
    found: dict[Path, None] = {}
    problems: list[Problem] = []
    for text in map(str, paths):
        path = Path(text)
        if path.is_dir():
            every = _files_below(path, problems)
            files = _images_only(every)
            problems += _other_kinds(path, every)
        elif path.exists():
            files = [path]
        else:
            files = _images_only(Path(match) for match in glob.glob(text, recursive=True))
        if not files:
            problems.append(_no_images(text))
        found.update(dict.fromkeys(files))
    return list(found), problems


def _no_images(text: str) -> Problem:
    if "://" in text or text.startswith(("http:/", "https:/")):
        return Problem("is a URL, and craft reads files", "download the image and give its path", where=text)
    if text == "-":
        return Problem("standard input is not read", "save the image and give its path", where=text)
    what = "holds no images" if Path(text).is_dir() else "is not a file or folder, and matches nothing"
    return Problem(what, f"images end in {', '.join(sorted(_READ_BY_NAME))}", where=text)


def _files_below(folder: Path, problems: list[Problem]) -> list[Path]:
    """Files of a folder and of all below, linked ones too, each folder once; adds what cannot be read to `problems`."""

    def unreadable(error: OSError) -> None:
        problems.append(Problem(f"cannot be read ({error.strerror})", "correct its rights", where=str(error.filename)))

    files, seen = list[Path](), set[str]()
    for root, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        files += [Path(root, name) for name in names if not name.startswith("._")]
    return files


def _images_only(paths: Iterable[Path]) -> list[Path]:
    """Images among files, by name, without the drawings of an earlier run."""
    candidates = (path for path in paths if path.suffix.lower() in _READ_BY_NAME and not path.name.startswith("._"))
    return sorted(path for path in candidates if not path.name.endswith(DRAWN) and path.is_file())


def _other_kinds(folder: Path, files: Iterable[Path]) -> list[Problem]:
    """A remark on the files of a folder that were passed over for their endings."""
    endings = Counter(
        path.suffix.lower() or "no ending"
        for path in files
        if path.suffix.lower() not in _READ_BY_NAME and not path.name.startswith(".")
    )
    if not endings:
        return []
    counts = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
    what = f"{endings.total()} files of other kinds were passed over: {counts}"
    return [Problem(what, "convert them to JPEG or PNG if they are images", where=str(folder), fatal=False)]
