"""CRAFT scene text detection: train with online hard example mining, detect, compare.

`craft.Detector` is imported when first asked for, so that `import craft` does not need torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from craft.detection.detector import Detector as Detector

__version__ = "0.1.0"
__all__ = ["Detector", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Detector":
        from craft.detection.detector import Detector

        return Detector
    raise AttributeError(f"module 'craft' has no attribute '{name}'")
