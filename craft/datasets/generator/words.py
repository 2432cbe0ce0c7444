"""The word lists that scenes are written with."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "word_lists"


@cache
def word_list(language: str) -> tuple[str, ...]:
    """The frequent words of a language.

    Args:
        language: name of a file in word_lists/ without its ending: "en", "zh".

    Returns:
        Words, most frequent first.

    Raises:
        ValueError: there is no such list.
    """
    path = _FOLDER / f"{language}.txt"
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in _FOLDER.glob("*.txt")))
        raise ValueError(f"no word list for language {language!r}; there are lists for {known}")
    return tuple(path.read_text(encoding="utf-8").split())
