"""The fonts of this machine and of installed packages, by script, with their licences."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from itertools import groupby
from pathlib import Path

import uharfbuzz
from numpy.random import Generator

from craft.images.files import files_below
from craft.synth.text import LANGUAGES, word_list
from craft.synth.typeface import Typeface, bundled_folder, load_typeface

_SYSTEM_FOLDERS = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("C:/Windows/Fonts",),
}
_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")

# What a font must cover to be used for an alphabet; for other scripts it must cover the most frequent words.
_ALPHABETS = {
    "Latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,-:!?'&%/()",
    "Cyrillic": "".join(chr(code) for code in range(0x410, 0x450)),
    "Greek": "".join(chr(code) for code in (*range(0x391, 0x3A2), *range(0x3A3, 0x3AA), *range(0x3B1, 0x3CA))),
}
# Fonts of symbols, of last resort, of colour bitmaps, and for formulas; matplotlib's Computer Modern has other glyphs at
# code points beyond ASCII.
_UNFIT = re.compile(
    r"last ?resort|symbol|emoji|nonuni|stixsiz|sizeone|dingbat|awesome|icon|\bcm[a-z]+10\b|tex gyre|blank|barcode|math",
    re.I,
)
# Noto has one family per script, and many of them carry the same Latin letters.
_NOTO_LATIN = re.compile(r"^Noto (Sans|Serif)( Display| Mono)?$")
_WEIGHT_WORDS = re.compile(r"\b(Thin|(Extra ?)?Light|Medium|(Semi|Extra) ?bold|Black|Heavy|Condensed)\b.*$", re.I)


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """A face of a font file and what is recorded about it."""

    path: str
    index: int  # number of the face inside a collection
    family: str  # its name without weights
    name: str
    licence: str  # as the font states it, shortened; or "not stated"
    scripts: frozenset[str]  # scripts it is used for; "icons" for one of symbols


@dataclass(frozen=True, slots=True)
class FontPool:
    """Faces by script; within a script all families are equally likely."""

    families: dict[str, tuple[tuple[FaceRecord, ...], ...]]  # per script, per family (sorted), its faces
    icons: tuple[FaceRecord, ...]  # faces that have icons and arrows rather than letters, for hard negatives

    def choose(self, generator: Generator, script: str) -> Typeface:
        """Choose and open a face for a script in `families`."""
        families = self.families[script]
        faces = families[int(generator.integers(len(families)))]
        face = faces[int(generator.integers(len(faces)))]
        return load_typeface(face.path, face.index)


@cache
def font_pool(folders: tuple[str, ...], *, system: bool, only: tuple[str, ...] = ()) -> FontPool:
    """Find the fonts to render with, in an order that depends on their names only; ValueError if there are none.

    Fonts from packages (matplotlib's and any with the entry points of `fonts`) are always included. `only` lists
    beginnings of the family names to use; empty for all.
    """
    files = dict.fromkeys(_package_files())
    for folder in folders:
        found = _fonts_below(Path(folder).expanduser())
        if not found:
            raise ValueError(f"{folder}: no fonts ({', '.join(_ENDINGS)}) in this folder; name a folder that has some")
        files.update(dict.fromkeys(found))
    if system:
        for folder in _SYSTEM_FOLDERS.get(sys.platform, ()):
            files.update(dict.fromkeys(_fonts_below(Path(folder).expanduser())))
    records = {(record.name, record.scripts): record for file in files for record in _records(file)}
    wanted = [record for record in records.values() if not only or record.family.startswith(only)]
    if not wanted:
        raise ValueError(f"no font family begins with {' or '.join(only)}; install one, or name others in families")
    ordered = sorted(wanted, key=lambda record: (record.family, record.name, record.path))
    families: dict[str, tuple[tuple[FaceRecord, ...], ...]] = {}
    for script in LANGUAGES:
        of_script = [record for record in ordered if script in record.scripts]
        if of_script:
            families[script] = tuple(tuple(faces) for _, faces in groupby(of_script, key=lambda face: face.family))
    return FontPool(families, tuple(record for record in ordered if "icons" in record.scripts))


def missing_fonts_remark(pool: FontPool, scripts: dict[str, float]) -> str | None:
    """Say which scripts of a positive weight are left out because no font serves them; None if none is."""
    missing = [script for script, weight in scripts.items() if weight > 0 and script not in pool.families]
    if not missing:
        return None
    remedy = "install fonts such as Noto, name a folder of fonts in font_folders, or give these scripts the weight 0"
    return f"no font for {', '.join(missing)}: words in them are left out; {remedy}"


def licences(pool: FontPool) -> dict[str, str]:
    """Return the licence of every typeface, as the font states it, by `Typeface.name`."""
    records = [record for families in pool.families.values() for faces in families for record in faces]
    return {load_typeface(record.path, record.index).name: record.licence for record in records}


def _package_files() -> Iterator[Path]:
    yield from _fonts_below(bundled_folder())
    for group in ("fonts_ttf", "fonts_otf"):
        for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
            yield from sorted({Path(path) for path in entry.load().values()})


def _fonts_below(folder: Path) -> list[Path]:
    return sorted(path for path in files_below(folder) if path.suffix.lower() in _ENDINGS and path.is_file())


@cache
def _records(path: Path) -> list[FaceRecord]:
    try:
        count = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(path))).count
        return [record for index in range(count) if (record := _record(path, index)) is not None]
    except (ValueError, uharfbuzz.HarfBuzzError):
        return []  # a broken system font is no reason to stop; generator.json records which fonts were used


def _record(path: Path, index: int) -> FaceRecord | None:
    typeface = load_typeface(str(path), index)
    names = typeface.names()
    family = _WEIGHT_WORDS.sub("", names["family"]).strip() or names["family"]
    if re.search(r"brands", names["family"], re.I):
        return None  # trade marks, half of which are letters
    if re.search(r"awesome|icon", names["family"], re.I):
        return FaceRecord(str(path), index, family, names["full"], names["licence"], frozenset({"icons"}))
    if _UNFIT.search(names["family"] + " " + path.stem) or "Mono CJK" in family:
        return None
    scripts = frozenset(script for script in LANGUAGES if _serves(typeface, script, family))
    return FaceRecord(str(path), index, family, names["full"], names["licence"], scripts) if scripts else None


def _serves(typeface: Typeface, script: str, family: str) -> bool:
    if script in _ALPHABETS:
        own = not family.startswith("Noto") or _NOTO_LATIN.match(family) is not None
        return own and typeface.covers(_ALPHABETS[script]) and typeface.has_ink(_ALPHABETS[script][0])
    words = word_list(LANGUAGES[script][0][0])
    return sum(typeface.covers(word) for word in words[:300]) >= 290
