"""What is written: words of a script, numbers, prices, plates and addresses."""

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.random import Generator

from craft.synth.typeface import ShapedText, Typeface

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
# Scripts whose lines have no spaces: several listed words make one label, as in ICDAR.
UNSPACED = ("Chinese", "Japanese")
_PUNCTUATION = {
    "Chinese": "\uff0c\u3002\u3001\uff01",
    "Japanese": "\u3001\u3002\uff01",
    "Arabic": "،؟!",
    "Bangla": "।,!",
    "Hindi": "।,!",
}


@cache
def word_list(language: str) -> tuple[str, ...]:
    """Return the frequent words of a language code, most frequent first; ValueError if there is no list for it."""
    path = _FOLDER / f"{language}.txt"
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in _FOLDER.glob("*.txt")))
        raise ValueError(f"no word list for language {language!r}; there are lists for {known}")
    return tuple(path.read_text(encoding="utf-8").split())


@dataclass(frozen=True, slots=True)
class TextSampler:
    """Samples text in one script that one typeface covers."""

    generator: Generator
    script: str  # a key of `LANGUAGES`
    typeface: Typeface  # covers the script
    case: str  # "lower", "capital", "upper" or "mixed"

    def word(self) -> str:
        """Choose text for one label, without punctuation; a number where the typeface lacks six choices."""
        for _ in range(6):
            text = self._listed()
            if self.script in UNSPACED and self.generator.random() < 0.6:
                text += self._listed()
            text = self._cased(text)
            if self.typeface.covers(text):
                return text
        return str(self.generator.integers(10, 1000))

    def line(self, count: int) -> list[str]:
        """Choose the `count` labels of one line of running text, punctuation kept with its word."""
        texts = [self.word() if self.generator.random() > 0.06 else self.number() for _ in range(count)]
        marks = _PUNCTUATION.get(self.script, ".,!?:")
        for position in range(count):
            if self.generator.random() < 0.1:
                marked = texts[position] + marks[int(self.generator.integers(len(marks)))]
                texts[position] = marked if self.typeface.covers(marked) else texts[position]
        return texts

    def number(self) -> str:
        """Make up digits, a price, a time, a date, a percentage, or a telephone number."""
        draw = self.generator.integers
        kind = int(draw(9))
        if kind <= 2:
            text = str(draw(0, 10 ** int(draw(1, 6))))
        elif kind == 3:
            text = f"{draw(1, 24)}:{draw(0, 60):02d}"
        elif kind == 4:
            text = f"{draw(1, 29)}/{draw(1, 13)}/{draw(1990, 2030)}"
        elif kind == 5:
            text = f"{draw(5, 96)}%"
        elif kind == 6:
            text = f"{draw(100, 1000)}-{draw(1000, 10000)}"
        else:
            text = self.price()
        return text if self.typeface.covers(text) else str(draw(0, 1000))

    def price(self) -> str:
        """Make up a price, with or without a currency sign that the typeface has."""
        amount = f"{self.generator.integers(1, 100)}{'.' if self.generator.random() < 0.7 else ','}"
        amount += ("99", "95", "50", "00", "49")[int(self.generator.integers(5))]
        sign = ("$", "€", "£", "¥", "₩", "৳", "")[int(self.generator.integers(7))]
        if not self.typeface.covers(sign):
            sign = ""
        return amount + sign if sign == "€" and self.generator.random() < 0.6 else sign + amount

    def plate(self) -> str:
        """Make up letters and digits as on number plates, doors and labels."""
        pattern = ("AA00AAA", "AAA000", "000AAA", "A-000", "00-00", "AA000", "A00", "0000AA")
        text = ""
        for slot in pattern[int(self.generator.integers(len(pattern)))]:
            alphabet = {"A": "ABCDEFGHJKLMNPRSTUVWXYZ", "0": "0123456789"}.get(slot, slot)
            text += alphabet[int(self.generator.integers(len(alphabet)))]
        return text

    def address(self) -> str:
        """Make up a web or mail address."""
        words = word_list("en")
        first, second = (words[int(self.generator.integers(200, len(words)))] for _ in range(2))
        ending = (".com", ".org", ".net", ".de", ".fr", ".it")[int(self.generator.integers(6))]
        joint = ("www." + first + second, first + "@" + second)[int(self.generator.integers(2))]
        return joint + ending if self.typeface.covers("@") else first

    def shaped(self, text: str, *, vertical: bool = False) -> ShapedText | None:
        """Shape a label, or return None where a character of it would have no ink."""
        try:
            shaped = self.typeface.shape(text, vertical=vertical)
        except ValueError:  # a cluster that the font has no glyph for although it has every code point
            return None
        return shaped if not np.isnan(shaped.boxes_xyxy).any() else None

    def _listed(self) -> str:
        draw, chosen = self.generator.random(), ""
        for language, share in LANGUAGES[self.script]:
            chosen = language
            draw -= share
            if draw < 0:
                break
        words = word_list(chosen)
        return words[int(len(words) * self.generator.random() ** 1.3)]

    def _cased(self, text: str) -> str:
        case = self.case
        if case == "mixed":
            case = ("lower", "capital", "upper")[int(self.generator.integers(3))]
        if case == "lower":
            return text
        return text.upper() if case == "upper" else text[:1].upper() + text[1:]


def script_label(text: str, script: str) -> str:
    """Name the script of a label as ICDAR's multilingual datasets do.

    "Symbols" where there is neither a letter nor a digit, "Latin" for ASCII letters or digits alone, "Mixed" where
    letters of another script stand beside ASCII letters, else `script`, that of the word list.
    """
    letters = [char for char in text if unicodedata.category(char)[0] in "LM"]
    plain = [char for char in letters if char.isascii()]
    if not letters:
        return "Latin" if any(char.isdigit() for char in text) else "Symbols"
    if len(plain) == len(letters):
        return "Latin"
    return "Mixed" if plain and script != "Latin" else script
