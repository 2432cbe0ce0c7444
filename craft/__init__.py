"""CRAFT scene text detection: train with online hard example mining, detect, compare.

The names below are imported when first used, so `import craft` alone loads neither torch nor numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from craft.config import load_config
    from craft.decode.detections import Detections
    from craft.detection.detector import Detector
    from craft.models.craft import CRAFT
    from craft.ohem.loss import pixel_loss
    from craft.scene import Scene, Word
    from craft.targets.heatmaps import draw_targets
    from craft.training.loop import train

__version__ = "0.1.0"
__all__ = [
    "CRAFT",
    "Detections",
    "Detector",
    "Scene",
    "Word",
    "__version__",
    "draw_targets",
    "load_config",
    "pixel_loss",
    "train",
]

_HOMES = {
    "CRAFT": "craft.models.craft",
    "Detections": "craft.decode.detections",
    "Detector": "craft.detection.detector",
    "Scene": "craft.scene",
    "Word": "craft.scene",
    "draw_targets": "craft.targets.heatmaps",
    "load_config": "craft.config",
    "pixel_loss": "craft.ohem.loss",
    "train": "craft.training.loop",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'craft' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
