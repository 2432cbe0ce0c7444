"""Image files below a folder, through its links."""

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from craft.images.reader import IMAGE_ENDINGS


def files_below(folder: Path, *, unreadable: Callable[[OSError], None] | None = None) -> list[Path]:
    """List the files of a folder and of all below, linked folders too, each folder once, without macOS's `._` files.

    `unreadable` is told of folders that cannot be listed.
    """
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


def images_among(files: Iterable[Path], *, endings: Collection[str] = IMAGE_ENDINGS) -> list[Path]:
    """Choose the images among files by their endings, sorted; without macOS's `._` files and links that lead nowhere."""
    named = (file for file in files if file.suffix.lower() in endings and not file.name.startswith("._"))
    return sorted(file for file in named if file.is_file())
