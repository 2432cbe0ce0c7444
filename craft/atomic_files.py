"""Files that are written whole or not at all: a path holds the old content or the new, never half of either."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_whole(path: str | Path, *, shared: bool = False, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a file whose content takes the place of `path` once the block ends.

    Args:
        path: file to write. One beside it, ".partial" behind its name, is used on the way; where the block raises, it is
            removed and `path` is as it was.
        shared: several processes may write it at once, so that each needs a file of its own on the way.
        durable: wait until the bytes are on the disk. Files that come by the thousand and can be made again do without:
            they are never seen half written, but for a power cut.

    Yields:
        The file, open for bytes.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial" if shared else f"{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: str | Path, content: bytes | str, *, durable: bool = True) -> Path:
    """Write a file as `open_whole` does.

    Args:
        path: file to write.
        content: bytes, or text that is written as UTF-8.
        durable: as in `open_whole`.

    Returns:
        The path.
    """
    with open_whole(path, durable=durable) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return Path(path)
