"""Files that are written completely or not at all: a path holds the old content or the new, never a part of either."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_atomic(path: str | Path, *, shared: bool = False, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends; if the block raises, `path` stays as it was.

    Missing folders are made.

    Args:
        shared: several processes may write the file at once, so each uses a temporary file of its own.
        durable: wait until the bytes are on the disk. Without it, a power cut can lose the file, but nothing else can
            leave it half written.
    """
    path = Path(path)
    name = shorten_name(path.name)
    partial = path.with_name(f"{name}.{os.getpid()}.partial" if shared else f"{name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(partial, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomic(path: str | Path, content: bytes | str, *, shared: bool = False, durable: bool = True) -> Path:
    """Write bytes, or text as UTF-8, as `open_atomic` does, and return the path.

    Bytes of file names that are not UTF-8, which Python keeps as half surrogates, become escapes that JSON reads back.
    """
    with open_atomic(path, shared=shared, durable=durable) as file:
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
    return Path(path)


def shorten_name(name: str) -> str:
    """Cut a name to 200 bytes, so that endings may follow in the 255 that file systems allow; shorter ones stay."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= 200 else encoded[:200].decode("utf-8", "ignore")
