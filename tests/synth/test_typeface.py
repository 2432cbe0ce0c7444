"""Text shaped as its script asks, with one box a character."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from craft.synth.typeface import Typeface, load_typeface

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def face(name: str = "DejaVuSans") -> Typeface:
    return load_typeface(str(FOLDER / f"{name}.ttf"))


def test_a_ligature_is_cut_between_its_characters():
    typeface = face("DejaVuSerif")
    shaped = typeface.shape("office")

    assert shaped.characters == tuple("office")
    assert (np.diff(shaped.boxes_xyxy[:, 0]) > 0).all()


def test_arabic_is_joined_and_its_characters_run_from_right_to_left():
    typeface = face()
    word = "\u0643\u062a\u0627\u0628"  # kitab, book

    shaped = typeface.shape(word)
    apart = sum(typeface.shape(letter).advance for letter in word)

    assert shaped.characters == tuple(word)
    assert (np.diff(shaped.boxes_xyxy[:, 0]) < 0).all()
    assert shaped.advance < apart


def test_a_combining_mark_belongs_to_its_letter():
    shaped = face().shape("e\u0301t")

    assert shaped.characters == ("e\u0301", "t")
    assert shaped.boxes_xyxy.shape == (2, 4)


def test_a_missing_glyph_is_refused_and_never_rendered_as_a_box():
    typeface = face("cmr10")

    assert not typeface.covers("\u4e2d")
    with pytest.raises(ValueError, match="no glyph for '\u4e2d'"):
        typeface.shape("\u4e2d")


def test_a_file_that_is_not_a_font_is_refused(tmp_path):
    (tmp_path / "text.ttf").write_text("no font")

    with pytest.raises(ValueError, match="not a font file"):
        Typeface(tmp_path / "text.ttf")


def test_shaped_text_holds_its_glyphs_where_the_pen_puts_them():
    typeface = face()

    together = typeface.shape("iB")  # a pair without kerning, and an i has two contours
    first, second = typeface.shape("i"), typeface.shape("B")

    moved = second.outline.points_xy + np.array([first.advance, 0.0])
    np.testing.assert_allclose(together.outline.points_xy, np.concatenate([first.outline.points_xy, moved]), atol=1e-12)
    ends = second.outline.contour_ends + len(first.outline.points_xy)
    assert together.outline.contour_ends.tolist() == [*first.outline.contour_ends, *ends]
    np.testing.assert_allclose(
        together.boxes_xyxy[1], second.boxes_xyxy[0] + np.array([first.advance, 0.0] * 2), atol=1e-12
    )
