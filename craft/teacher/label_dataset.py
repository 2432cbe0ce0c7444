"""Labels one set with given weights: what `craft label` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from craft.config import DatasetSettings
from craft.datasets.collection import read_scenes
from craft.models.device import choose_device, choose_precision
from craft.models.digest import weights_digest
from craft.models.weights import build_model, read_weights
from craft.teacher.crop_batches import teachable_length
from craft.teacher.label_files import Origin, origin_of, write_labels
from craft.teacher.labelling import label_scenes
from craft.teacher.splitting import Splitter


def label_set(
    settings: DatasetSettings,
    weights_path: str,
    out: Path,
    *,
    splitter: Splitter = "cuts",
    height: int = 64,
    device: str = "auto",
    workers: int = 1,
    say: Callable[[str], None] = print,
) -> Origin:
    """Label the characters of a set with weights and write them as a label file.

    Args:
        settings: the set; scenes with errors are left out.
        weights_path: the teacher, any readable weights file.
        out: file to write.
        splitter: how region maps are split.
        height: of the teacher's crops, pixels.
        device: "auto", "cpu", "cuda" or "mps".
        workers: threads beside the network.
        say: told what was read and left out.

    Returns:
        What the labels came from.

    Raises:
        ValueError: set or weights cannot be read, or no word of the set needs a teacher.
    """
    scenes = read_scenes(settings, on_error="skip", say=say)
    if not any(teachable_length(word) for scene in scenes for word in scene.words):
        raise ValueError(f"{settings.path}: every readable word has its characters already; there is nothing to label")
    place = choose_device(device)
    model = build_model(read_weights(weights_path)).to(place).eval()
    labelled, counts = label_scenes(
        model,
        scenes,
        device=place,
        precision=choose_precision("auto", place),
        splitter=splitter,
        height=height,
        workers=workers,
        progress=True,
    )
    origin = origin_of(Path(weights_path).name, weights_digest(model), counts, splitter=splitter, height=height)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_labels(out, scenes, labelled, origin)
    return origin
