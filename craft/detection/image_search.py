"""Images that files, folders and globs stand for, and what in them is passed over."""

import glob
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from craft.errors import Problem
from craft.images.files import files_below, images_among
from craft.images.pages import STANDARD_INPUT, VIDEO_ENDINGS
from craft.images.reader import IMAGE_ENDINGS

DRAWN, MAPS = ".drawn.jpg", ".maps.jpg"  # endings of the images that a run writes
_SEARCHED = IMAGE_ENDINGS | {".pdf"}


def find_images(paths: Iterable[str | Path]) -> tuple[list[Path], list[Problem]]:
    """List the images that files, folders and globs stand for; a file that is named itself may have any ending.

    Folders are searched with their linked folders. Drawings and maps of an earlier run and macOS's `._` files are left out.

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
    if Path(text).is_dir() or glob.glob(text, recursive=True):
        return Problem(
            "holds no images", f"they end in {', '.join(sorted(_SEARCHED))}; name others in full", where=text
        )
    return Problem("is not a file or folder, and matches nothing", "correct the path", where=text)


def _images_only(files: Iterable[Path]) -> list[Path]:
    """Images and PDFs among files, without the drawings and maps of an earlier run."""
    return [path for path in images_among(files, endings=_SEARCHED) if not path.name.endswith((DRAWN, MAPS))]


def _other_kinds(folder: Path, files: Iterable[Path]) -> list[Problem]:
    """A remark on the files of a folder that were passed over for their endings."""
    endings = Counter(
        path.suffix.lower() or "no ending"
        for path in files
        if path.suffix.lower() not in _SEARCHED and not path.name.startswith(".")
    )
    if not endings:
        return []
    counts = ", ".join(f"{count} {ending}" for ending, count in sorted(endings.items()))
    what = f"{endings.total()} files of other kinds were passed over: {counts}"
    remedy = "convert them to JPEG or PNG if they are images"
    if VIDEO_ENDINGS & endings.keys():
        remedy += ", and name videos in full, with --frames"
    return [Problem(what, remedy, where=str(folder), fatal=False)]
