"""The word lists that scenes are written with."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "word_lists"

# Languages of each script, with the share of its words that each gives.
LANGUAGES: dict[str, tuple[tuple[str, float], ...]] = {
    "Latin": (("en", 0.6), ("fr", 0.1), ("de", 0.1), ("it", 0.08), ("es", 0.06), ("pl", 0.03), ("tr", 0.03)),
    "Chinese": (("zh", 1.0),),
    "Japanese": (("ja", 1.0),),
    "Korean": (("ko", 1.0),),
    "Arabic": (("ar", 1.0),),
    "Bangla": (("bn", 1.0),),
    "Hindi": (("hi", 1.0),),
    "Cyrillic": (("ru", 1.0),),
    "Greek": (("el", 1.0),),
}


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
