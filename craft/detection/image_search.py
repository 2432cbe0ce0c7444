"""Images that files, folders and globs stand for, and what in them is passed over."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from craft.errors import Problem
from craft.images.files import files_below, images_among
from craft.images.pages import STANDARD_INPUT
from craft.images.reader import IMAGE_ENDINGS

DRAWN = ".drawn.jpg"


def find_images(paths: Iterable[str | Path]) -> tuple[list[Path], list[Problem]]:
    """List the images that files, folders and globs stand for; a file that is named itself may have any ending.

    Folders are searched with their linked folders. Drawings of an earlier run and macOS's `._` files are left out.

    Returns:
        The files, each once, in the order of `paths` and by name inside a folder or glob; a problem for each path that
        stands for no image; and a remark, not fatal, on files of other kinds in folders.
    """
    found: dict[Path, None] = {}
    problems: list[Problem] = []

    def refuse(error: OSError) -> None:
        problems.append(Problem(f"cannot be read ({error.strerror})", "correct its rights", where=str(error.filename)))

    for text in map(str, paths):
        path = Path(text)
        if path.is_dir():
            every = files_below(path, unreadable=refuse)
            files = _images_only(every)
            problems += _other_kinds(path, every)
        elif path.exists() or text == STANDARD_INPUT:
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
    what = "holds no images" if Path(text).is_dir() else "is not a file or folder, and matches nothing"
    return Problem(what, f"images end in {', '.join(sorted(IMAGE_ENDINGS))}", where=text)


def _images_only(files: Iterable[Path]) -> list[Path]:
    """Images among files, without the drawings of an earlier run."""
    return [path for path in images_among(files) if not path.name.endswith(DRAWN)]


def _other_kinds(folder: Path, files: Iterable[Path]) -> list[Problem]:
    """A remark on the files of a folder that were passed over for their endings."""
    endings = Counter(
        path.suffix.lower() or "no ending"
        for path in files
        if path.suffix.lower() not in IMAGE_ENDINGS and not path.name.startswith(".")
    )
    if not endings:
        return []
    counts = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
    what = f"{endings.total()} files of other kinds were passed over: {counts}"
    return [Problem(what, "convert them to JPEG or PNG if they are images", where=str(folder), fatal=False)]
