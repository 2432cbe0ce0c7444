"""Remarks on a whole dataset: nothing to learn in it, or quads that start at the wrong corner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from craft.errors import Problem
from craft.geometry import quad_sides
from craft.scene import Scene

_LONG_TEXT = 3  # characters; fewer are often taller than wide
_LEAST_SHARE = 0.1  # of a dataset's long words


def remarks_on(scenes: Sequence[Scene], *, where: str) -> list[Problem]:
    """Remark on what makes every scene of a dataset useless, though no label is wrong by itself."""
    words = [word for scene in scenes for word in scene.words]
    remarks = []
    if scenes and all(word.dont_care for word in words):
        found = f"all {len(words):,} are don't care" if words else "there are none"
        what = f"no word can be read: {found}"
        remedy = "there is nothing to learn from it; add transcriptions to its labels"
        if any(word.untranscribed for word in words):
            remedy += ", or let a network count the characters: craft label --boxes-only"
        remarks.append(Problem(what, remedy, where=where, fatal=False))
    long = [word for word in words if len(word.text or "") >= _LONG_TEXT and len(word.polygon_xy) == 4]
    if not long:
        return remarks
    quads = np.stack([word.polygon_xy for word in long])  # (N, 4, 2)
    widths, heights = quad_sides(quads)
    along = (quads[:, 1] - quads[:, 0]) + (quads[:, 2] - quads[:, 3])
    turned = (2 * widths < heights) & (np.abs(along[:, 1]) > np.abs(along[:, 0]))
    if turned.sum() > _LEAST_SHARE * len(long):
        first = long[int(np.argmax(turned))]
        what = f"{turned.sum():,} of {len(long):,} words are read along their short side, such as {first.text!r}"
        remedy = "let each quad start at the top-left corner of its text and run clockwise"
        remarks.append(Problem(what, remedy, where=first.source or where, fatal=False))
    return remarks
