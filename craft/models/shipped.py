"""Weights that ship with the package, by name: `small`, `synth`. No torch."""

from __future__ import annotations

from pathlib import Path

import craft

DEFAULT_WEIGHTS = "small"
"""What detection uses where no weights are named."""

RECIPES = {"small": "configs/small.yaml", "synth": "configs/synth.yaml"}
"""Names that may be given in place of a path, and the configuration of the repository that trains each."""

WEIGHTS_FOLDER = Path(craft.__file__).parent / "weights"
_ENDING = ".safetensors"


def shipped_names() -> list[str]:
    """Names of the weights that are in this installation.

    Returns:
        The names, sorted.
    """
    return sorted(name for name in RECIPES if (WEIGHTS_FOLDER / f"{name}{_ENDING}").is_file())


def find_weights(name_or_path: str | Path) -> Path:
    """Find the file that a user means.

    Args:
        name_or_path: a name of `RECIPES`, or a path. A file that is called like a name is meant by "./small".

    Returns:
        The file; a path is given back as it came, whether there is such a file or not.

    Raises:
        ValueError: weights of that name are known but not in this installation.
    """
    name = str(name_or_path)
    if name not in RECIPES:
        return Path(name_or_path)
    path = WEIGHTS_FOLDER / f"{name}{_ENDING}"
    if not path.is_file():
        raise ValueError(
            f"{name}: these weights do not ship with craft {craft.__version__} ({list_shipped()}); train them with "
            f"craft train {RECIPES[name]} of the repository, and give the path of its best.safetensors"
        )
    return path


def list_shipped() -> str:
    """Say in a few words which weights ship.

    Returns:
        "what ships: small", or "none ship".
    """
    names = shipped_names()
    return f"what ships: {', '.join(names)}" if names else "none ship"
