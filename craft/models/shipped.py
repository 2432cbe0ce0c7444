"""Weights that ship with the package, by name: `small`, `small-synth`, `synth`. No torch."""

from __future__ import annotations

from pathlib import Path

import craft

DEFAULT_WEIGHTS = "small"
"""What detection uses unless told otherwise."""

RECIPES = {name: f"configs/{name}.yaml" for name in ("small", "small-synth", "synth")}
"""Names that may be given in place of a path, and the configuration in the repository that trains each."""

WEIGHTS_FOLDER = Path(craft.__file__).parent / "weights"
_ENDING = ".safetensors"


def shipped_names() -> list[str]:
    """Names of the weights in this installation, sorted."""
    return sorted(name for name in RECIPES if (WEIGHTS_FOLDER / f"{name}{_ENDING}").is_file())


def find_weights(name_or_path: str | Path) -> Path:
    """Find the file of weights given by a name in `RECIPES` or by a path, which need not exist.

    "./small" is a path, "small" a name.

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
            f"craft train {RECIPES[name]} from the repository, and give the path of best.safetensors"
        )
    return path


def list_shipped() -> str:
    """Say in a few words which weights ship: "what ships: small", or "none ship"."""
    names = shipped_names()
    return f"what ships: {', '.join(names)}" if names else "none ship"
