"""Presets: the settings of the generator."""

from typing import Any, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from craft.config import Preset, Settings
from craft.config_files import explain_error

SCRIPTS = {
    "Latin": 10.0, "Chinese": 1.5, "Japanese": 1.5, "Korean": 1.5, "Arabic": 1.5, "Bangla": 1.5,
    "Hindi": 0.6, "Cyrillic": 0.6, "Greek": 0.3,
}  # fmt: skip
LAYOUTS = {
    "word": 3.0, "sign": 5.0, "paragraph": 1.2, "menu": 0.8, "vertical": 0.6,
    "curved": 1.0, "small_print": 0.5, "huge": 0.6, "numbers": 1.2, "plate": 0.6,
}  # fmt: skip
NEGATIVES = {
    "bricks": 1.0, "fence": 1.0, "windows": 1.5, "leaves": 1.0, "grille": 1.0, "stripes": 1.5,
    "checkers": 1.0, "dots": 1.0, "icons": 1.5, "dingbats": 1.0, "arrows": 1.0, "scribbles": 1.0,
    "circuit": 1.0, "strokes": 1.5, "pseudo_letters": 1.0, "shelf": 1.0, "cables": 0.7, "figures": 0.7,
}  # fmt: skip


class _PresetSettings(Settings):
    """Settings whose ranges run from low to high."""

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        for name, value in self:
            is_range = isinstance(value, tuple) and len(value) == 2 and name != "size_hw"
            if is_range and not isinstance(value[0], str) and value[0] > value[1]:
                raise ValueError(f"{name} is {list(value)}, from high to low; swap the two")
        return self


class QuickstartSettings(_PresetSettings):
    """The quickstart preset. Frozen: its defaults do not change, so that results stay comparable."""

    preset: Literal["quickstart"] = "quickstart"
    size: int = Field(512, ge=64, multiple_of=4, description="Side of the square image, pixels.")
    words: tuple[int, int] = Field((4, 14), description="Fewest and most words tried for a scene.")
    cap_height: tuple[float, float] = Field((11.0, 48.0), description="Range of the capitals' height, pixels.")
    rotation: float = Field(15.0, ge=0, le=180, description="Largest rotation of nine words in ten, degrees.")
    perspective: float = Field(0.15, ge=0, le=0.4, description="Largest change of scale from a word's middle to end.")
    unreadable: float = Field(0.06, ge=0, le=1, description="Share of words that are too small to read: don't care.")
    shapes: int = Field(10, ge=0, description="Most flat shapes behind the text.")
    clutter: int = Field(6, ge=0, description="Most groups of repeated strokes.")


class StyleSettings(_PresetSettings):
    """How text and hard negatives are painted. Numbers are shares of blocks unless they say otherwise."""

    low_contrast: float = Field(0.08, ge=0, le=1, description="Text hardly lighter or darker than what is behind it.")
    outline: float = Field(0.1, ge=0, le=1, description="An edge of another colour.")
    shadow: float = Field(0.15, ge=0, le=1, description="A cast shadow.")
    gradient: float = Field(0.15, ge=0, le=1, description="Colours that change over the letters.")
    texture: float = Field(0.25, ge=0, le=1, description="A texture inside the letters.")
    emboss: float = Field(0.08, ge=0, le=1, description="Raised or carved letters.")
    glow: float = Field(0.06, ge=0, le=1, description="Shining letters.")
    wear: float = Field(0.08, ge=0, le=1, description="Letters partly rubbed off.")


class CameraSettings(_PresetSettings):
    """What the camera does. Numbers are shares of scenes unless they say otherwise."""

    lighting: float = Field(0.7, ge=0, le=1, description="Uneven light over the scene.")
    resample: float = Field(0.2, ge=0, le=1, description="Captured small and enlarged, by a factor of up to 2.5.")
    defocus: float = Field(0.3, ge=0, le=1, description="Out of focus.")
    motion: float = Field(0.08, ge=0, le=1, description="Motion blur.")
    dark: float = Field(0.12, ge=0, le=1, description="Low light, with its noise.")
    bright: float = Field(0.08, ge=0, le=1, description="Over-exposed.")
    colour_cast: float = Field(0.4, ge=0, le=1, description="A colour cast.")
    grey: float = Field(0.03, ge=0, le=1, description="Greyscale.")
    noise: float = Field(10.0, ge=0, le=60, description="Largest standard deviation of sensor noise, levels.")
    jpeg: float = Field(0.3, ge=0, le=1, description="JPEG compression.")
    jpeg_quality: tuple[int, int] = Field((25, 90), description="Range of the JPEG quality.")


class FullSettings(_PresetSettings):
    """Scenes to pretrain on: many scripts, layouts, appearances and hard negatives."""

    preset: Literal["full"] = "full"
    size_hw: tuple[int, int] = Field((768, 768), description="Height and width of the image, multiples of 8.")
    words: tuple[int, int] = Field((4, 36), description="Range of the number of words aimed for.")
    cap_height: tuple[float, float] = Field((9.0, 60.0), description="Range of capitals' height, pixels; log-uniform.")
    scripts: dict[str, float] = Field(SCRIPTS, description="Weight of each script; those without a font are left out.")
    layouts: dict[str, float] = Field(LAYOUTS, description="Weight of each layout.")
    negatives: dict[str, float] = Field(NEGATIVES, description="Weight of each kind of hard negative.")
    negative_count: tuple[int, int] = Field((2, 10), description="Range of the number of hard negatives in a scene.")
    boards: float = Field(0.5, ge=0, le=1, description="Share of blocks of text that stand on a board or panel.")
    rotation: float = Field(8.0, ge=0, description="Standard deviation of most planes' rotation, degrees.")
    turned: float = Field(0.08, ge=0, le=1, description="Share of planes turned by up to 90 degrees.")
    perspective: float = Field(1.0, ge=0, le=1.5, description="Yaw and pitch; 1: deviations of 22 and 12 degrees.")
    occluders: float = Field(0.25, ge=0, le=1, description="Share of scenes with things in front of the text.")
    readable_height: float = Field(8.0, ge=0, description="Least height of cared-for words, pixels, before enlarging.")
    readable_contrast: float = Field(14.0, ge=0, description="Least contrast of cared-for words' ink, levels; 0: none.")
    word_height_boxes: bool = Field(False, description="Character boxes as high as their word, for comparison.")
    rooms: float = Field(0.6, ge=0, le=1, description="Share of rendered backgrounds that are halls and shop fronts.")
    photographs: str | None = Field(None, description="Folder of images to write on; without it, rendered backgrounds.")
    photograph_labels: bool = Field(False, description="The folder is a dataset: keep its words clear, as don't care.")
    font_folders: tuple[str, ...] = Field((), description="Folders of fonts to use besides those of packages.")
    system_fonts: bool = Field(True, description="Use the system's fonts as well.")
    families: tuple[str, ...] = Field((), description="Beginnings of the font families to use; empty: all.")
    style: StyleSettings = StyleSettings()
    camera: CameraSettings = CameraSettings()

    @model_validator(mode="after")
    def _weights(self) -> Self:
        for name, known in (("scripts", SCRIPTS), ("layouts", LAYOUTS), ("negatives", NEGATIVES)):
            weights = getattr(self, name)
            unknown = sorted(set(weights) - set(known))
            if unknown:
                raise ValueError(f"{name}: unknown {', '.join(unknown)}; known are {', '.join(known)}")
            if min(weights.values(), default=0) < 0 or sum(weights.values()) <= 0:
                raise ValueError(f"{name}: weights must be 0 or more, and one of them above 0, not {weights}")
        if min(self.size_hw) < 128 or any(side % 8 for side in self.size_hw):
            raise ValueError(f"size_hw must be multiples of 8 from 128 up, not {list(self.size_hw)}")
        return self


GeneratorSettings = QuickstartSettings | FullSettings

# What `sample` changes in `full`: small images from a kind camera, for data/sample, tests and the README. The fonts
# are those of the `synth` extra, matplotlib's STIX, and Noto, whatever else a machine has.
_SAMPLE: dict[str, Any] = {
    "rooms": 0.0,
    "size_hw": (480, 640),
    "words": (4, 16),
    "cap_height": (14.0, 64.0),
    "negative_count": (2, 7),
    "layouts": {**LAYOUTS, "menu": 0.4, "paragraph": 0.6, "small_print": 0.3},
    "families": (
        *("Noto", "STIX", "Amatic", "Caladea", "Fredoka", "Hanken", "Intuitive", "Lato", "Source"),
        *("Font Awesome",),
    ),
    "camera": {"resample": 0.1, "defocus": 0.2, "motion": 0.04, "dark": 0.08, "noise": 5.0, "jpeg": 0.0},
}
PRESETS = get_args(Preset)


def preset(name: str, changes: dict[str, Any] | None = None) -> GeneratorSettings:
    """Return a preset with changes, nested like {"camera": {"noise": 4.0}}; ValueError for bad names and values."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; use {' or '.join(PRESETS)}")
    values = (_SAMPLE if name == "sample" else {}) | (changes or {})
    if name == "sample" and isinstance(values["camera"], dict):
        values["camera"] = _SAMPLE["camera"] | values["camera"]
    kind = QuickstartSettings if name == "quickstart" else FullSettings
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = [f"preset {name}: {explain_error(item, kind)}" for item in error.errors()]
        raise ValueError("\n".join(problems)) from None
