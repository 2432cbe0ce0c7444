"""Contact sheets of synthetic scenes."""

from __future__ import annotations

import cv2
import pytest

from craft.synth.presets import preset
from craft.synth.writer import write_contact_sheet


def test_a_contact_sheet_is_written_and_a_bad_path_refused(tmp_path):
    settings = preset("full", {"size_hw": (256, 320), "words": (2, 10), "system_fonts": False})

    write_contact_sheet(tmp_path / "sheet.png", settings=settings, count=3, seed=0, columns=2)

    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * 307, 2 * 384, 3)
    with pytest.raises(ValueError, match="has no ending of an image"):
        write_contact_sheet(tmp_path / "sheet.doc", settings=settings, count=1, seed=0)
