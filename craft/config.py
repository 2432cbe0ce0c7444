"""Settings of training and detection: typed, ranged and documented. No torch.

A configuration file holds what differs from the defaults below, or from the file that it names in `extends`.
"""

import copy
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from craft.config_files import ABSENT, deep_merge, explain_error, inherited_settings, lookup, parse_settings, read_yaml

# fmt: off
DatasetFormat = Literal[
    "icdar2013", "icdar2015", "icdar2017", "icdar2019", "jsonl", "synthtext", "totaltext", "ctw1500", "td500", "shards", "synth",
    "coco", "cocotext", "cvat", "doctr", "label-studio", "labelme", "paddleocr", "page-xml", "via",
]
# fmt: on

Split = Literal["train", "validation", "all"]
OnError = Literal["fail", "skip"]
Preset = Literal["quickstart", "full", "sample"]
Splitter = Literal["cuts", "length", "watershed"]
OhemRule = Literal["hardest", "random", "all", "none", "focal"]
RATIO_RULES: tuple[OhemRule, ...] = ("hardest", "random")  # those that a ratio applies to
OhemScope = Literal["image", "batch"]
MapLoss = Literal["mse", "dice_bce"]
RoiSampler = Literal["heuristic", "all", "ohem", "ohem-zeroed", "bootstrap"]
RankBy = Literal["loss", "text"]
PixelRule = Literal["corner", "centre"]
Protocol = Literal["icdar2013", "icdar2015", "icdar2017", "icdar2019", "polygons", "tedeval", "cleval"]

RUN_RECORD = "environment.jsonl"
"""The file by which a folder with a config.yaml is known to be a run folder."""

LEAST_TILE = 640  # pixels; most of a smaller tile would be margin, the receptive field of a map pixel


class Settings(BaseModel):
    """Base of all settings: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


UserPath = Annotated[str, AfterValidator(os.path.expanduser)]  # ~ is the home folder


def _check_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ValueError(f"{name!r} is not a device; use auto, cpu, mps, cuda or cuda:N")
    return name


Device = Annotated[str, AfterValidator(_check_device)]


class DatasetSettings(Settings):
    """One dataset: read from `path` or, with `format: synth`, rendered on the fly."""

    path: UserPath = Field(
        "",
        description="Folder of the dataset, which holds its image and label folders, or a label file. Not for synth.",
    )
    format: DatasetFormat | None = Field(
        None,
        description="Label format. If left out, it follows from the folder names of the official datasets; it is never "
        "guessed from a label. shards: tar files that craft pack wrote, read in place. synth: no files; the preset below "
        "renders the scenes on the fly.",
    )
    images: UserPath | None = Field(None, description="Image folder inside `path`, if it is not the official one.")
    labels: UserPath | None = Field(
        None, description="Label folder or file inside `path`, if it is not the official one."
    )
    split: Split = Field("train", description="Which official folders are read. Without effect if `images` is given.")
    numbers: tuple[int, int] | None = Field(
        None, description="First and last scene number to use, inclusive: [1, 800] reads img_1 to img_800."
    )
    weight: float = Field(
        1.0, gt=0, description="Share of this dataset in the mix of training datasets, relative to the others."
    )
    preset: Preset | None = Field(None, description="Preset that renders the scenes, for synth.")
    seed: int | None = Field(None, ge=0, description="Seed of the scenes, for synth; 0 if left out.")
    count: int | None = Field(
        None,
        ge=1,
        description="Number of distinct scenes before the first one comes again, for synth; a million if left out. "
        "Memory does not depend on it.",
    )
    settings: dict[str, Any] | None = Field(None, description="Settings of the preset to change, for synth.")

    @property
    def title(self) -> str:
        """What messages and tables call the dataset: its path, or its preset and seed."""
        return self.path if self.format != "synth" else f"synth ({self.preset}, seed {self.seed or 0})"

    @model_validator(mode="after")
    def _read_or_rendered(self) -> Self:
        def given(names: tuple[str, ...]) -> str:
            return ", ".join(name for name in names if getattr(self, name) not in (None, ""))

        if self.numbers is not None and self.numbers[0] > self.numbers[1]:
            raise ValueError(f"numbers are {list(self.numbers)}, the first above the last; swap them")
        if self.format == "synth":
            if idle := given(_READING_KEYS):
                raise ValueError(f"format: synth renders its scenes and reads none; remove {idle}, or the format")
            if self.preset is None:
                raise ValueError("format: synth needs a preset; add preset: full, quickstart or sample")
        elif idle := given(_RENDERING_KEYS):
            raise ValueError(f"{idle} can only be used with format: synth, which has no path; remove one of the two")
        elif self.format == "shards" and (idle := given(("images", "labels"))):
            raise ValueError(f"format: shards holds images and labels in its shards; remove {idle}")
        elif not self.path:
            raise ValueError("no path; name the folder of the dataset, or give format: synth and a preset")
        return self


_READING_KEYS = ("path", "images", "labels", "numbers")
_RENDERING_KEYS = ("preset", "seed", "count", "settings")


class CharacterSettings(Settings):
    """Where characters come from in words that are labelled as words only."""

    source: Literal["even", "teacher", "file"] = Field(
        "even",
        description="even: words are split evenly along their longer sides. teacher: the network's moving average labels "
        "them during training. file: `craft label` wrote them.",
    )
    refresh: int = Field(
        1000,
        ge=0,
        description="Steps between two labellings by the moving average, for teacher. Until the first one, labels come "
        "from the top-level `weights`, or are even splits if there are none. 0: never label again.",
    )
    delay: int = Field(
        100, ge=0, description="Steps from a labelling until training uses it, for teacher; at most `refresh`."
    )
    splitter: Splitter = Field(
        "cuts",
        description="cuts: cut between the most likely characters, as many as the transcription has, each as tall as the "
        "word. length: the same cuts, each character as tall as it looks. watershed: the paper's.",
    )
    height: int = Field(
        64,
        ge=32,
        le=256,
        multiple_of=32,
        description="Height of the word crop that the teacher sees, margins included, pixels.",
    )
    files: tuple[UserPath | None, ...] = Field(
        (), description="For file: one label file per training dataset, in order; null if the dataset has characters."
    )
    weights: UserPath | None = Field(
        None, description="For file: weights that the label files must come from; others are refused."
    )

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        if self.refresh and self.delay > self.refresh:
            raise ValueError(f"delay is {self.delay}, but new labels are made every {self.refresh} steps; lower it")
        if self.source == "file" and not any(self.files):
            raise ValueError("source: file needs files, one per training dataset; make them with craft label")
        return self


def _datasets_by_path(value: Any) -> Any:
    """A path alone stands for a dataset: data.train=FOLDER, data.train=[A, B]."""
    if isinstance(value, str):
        value = [value]
    return [{"path": item} if isinstance(item, str) else item for item in value] if isinstance(value, list) else value


Datasets = Annotated[tuple[DatasetSettings, ...], BeforeValidator(_datasets_by_path)]


class DataSettings(Settings):
    """Datasets and how they are loaded."""

    train: Datasets = Field((), description="Training datasets, mixed by weight.")
    validation: Datasets = Field(
        (), description="Datasets scored during training; they decide which weights are the best."
    )
    on_error: OnError = Field(
        "fail",
        description="fail: refuse bad labels or images. skip: leave those scenes out, also when an image turns out to be "
        "unreadable during training or validation, and name them.",
    )
    characters: CharacterSettings = CharacterSettings()
    crop_size: int = Field(
        640, ge=64, multiple_of=32, description="Side of the square training crop, network input pixels."
    )
    workers: int = Field(4, ge=0, description="Loader processes per training process; 0 loads in the training process.")
    cache_mebibytes: int = Field(
        0, ge=0, description="Most MiB of image files that each loader process keeps in memory."
    )


class AugmentSettings(Settings):
    """Augmentation. Geometry is one matrix for pixels and quads; the rest changes pixels only."""

    scale: tuple[float, float] = Field(
        (0.5, 2.0), description="Range of the random scale, source pixels to input pixels; log-uniform."
    )
    rotation: float = Field(10.0, ge=0, le=180, description="Largest rotation in either direction, degrees.")
    perspective: float = Field(
        0.1, ge=0, le=0.4, description="Largest shift of a crop's corner, as a share of its side."
    )
    aspect: float = Field(1.2, ge=1, le=3, description="Largest change of width relative to height, as a factor.")
    word_crops: float = Field(0.8, ge=0, le=1, description="Share of crops placed so that a readable word lies inside.")
    flip: float = Field(0.0, ge=0, le=1, description="Probability of mirroring; 0, since mirrored text is not text.")
    colour: float = Field(
        0.5, ge=0, le=1, description="Probability of brightness, contrast, saturation and hue changes."
    )
    blur: float = Field(0.1, ge=0, le=1, description="Probability of a small blur.")
    noise: float = Field(0.1, ge=0, le=1, description="Probability of Gaussian sensor noise.")
    jpeg: float = Field(0.2, ge=0, le=1, description="Probability of JPEG compression.")
    grey: float = Field(0.05, ge=0, le=1, description="Probability of converting to grey.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be two numbers with 0 < first <= second, not {list(self.scale)}")
        return self


class ModelSettings(Settings):
    """The network."""

    width: float = Field(
        1.0, ge=0.0625, le=2, description="Factor on every channel count; 1 is the paper's 20.8 M parameters."
    )
    backbone: Literal["vgg16_bn"] = Field("vgg16_bn", description="Network whose features the decoder joins.")
    pretrained: Literal["imagenet", "none"] = Field(
        "none",
        description="imagenet: start the backbone from torchvision's VGG16-BN weights (width 1 only; downloaded if not cached).",
    )
    freeze_batch_norm: bool = Field(False, description="Keep the batch norm statistics and parameters as loaded.")
    sync_batch_norm: bool = Field(
        False, description="Batch norm statistics over the crops of all processes. CUDA only."
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass: less memory, more time."
    )


class OhemSettings(Settings):
    """Pixel-level online hard example mining."""

    rule: OhemRule = Field(
        "hardest",
        description="Which cared-for negatives count beside every positive: the hardest, as many at random, all (mean over "
        "positives plus mean over negatives), none (one plain mean over all cared-for pixels), or focal (all, each pixel "
        "weighted by its error to the power gamma / 2).",
    )
    gamma: float = Field(1.0, gt=0, description="How strongly easy pixels fade, for focal.")
    ratio: float = Field(3.0, gt=0, description="Negatives kept per positive, for hardest and random.")
    final_ratio: float | None = Field(
        None,
        gt=0,
        description="Ratio at the last step, if it changes geometrically during training; otherwise it is fixed.",
    )
    min_negatives: int = Field(
        512, ge=0, description="Fewest negatives kept per image and map, for hardest and random."
    )
    scope: OhemScope = Field(
        "image",
        description="image: each image is ranked and averaged by itself, then the mean over images is taken. batch: all crops "
        "of a batch are ranked together, so images that are hard or rich in text get more of the loss.",
    )
    loss: MapLoss = Field(
        "mse",
        description="mse: squared errors. dice_bce: cross-entropy of the pixels that the rule keeps, plus a Dice loss over all "
        "cared-for ones.",
    )


class RegionProposalSettings(Settings):
    """Where RoIs come from, and the most that each source gives per image; 0 switches a source off."""

    network: int = Field(1000, ge=0, le=2000, description="From a region proposal network on the VGG features.")
    components: int = Field(300, ge=0, le=2000, description="From components of the current score maps.")
    component_thresholds: tuple[float, ...] = Field(
        (0.15, 0.25, 0.4, 0.55, 0.7), description="Thresholds on the score maps, for components."
    )
    truth: int = Field(200, ge=0, le=2000, description="Ground-truth words, jittered. In training only.")
    grid: int = Field(500, ge=0, le=5000, description="From a dense grid of several sizes and shapes.")

    @model_validator(mode="after")
    def _any_source(self) -> Self:
        if self.network + self.components + self.truth + self.grid == 0:
            raise ValueError("every source of proposals is 0; switch at least one on")
        return self


class RegionSettings(Settings):
    """Region-level OHEM: a head that classifies boxes, trained on the RoIs that a sampler chooses."""

    enabled: bool = Field(False, description="Train a region head on the network's features.")
    train: Literal["joint", "alone"] = Field(
        "joint",
        description="joint: together with the score maps. alone: on frozen features; the maps do not change.",
    )
    weight: float = Field(0.1, gt=0, description="Weight of the region path's loss relative to the score maps' loss.")
    sampler: RoiSampler = Field(
        "ohem",
        description="heuristic: at random, a quarter text (Fast R-CNN). all: every RoI. ohem: the hardest in a read-only pass, "
        "then a second pass over those alone. ohem-zeroed: the same selection in one pass over all RoIs. bootstrap: false "
        "positives collected between phases of training (needs train: alone).",
    )
    rois_per_image: int = Field(64, ge=1, description="RoIs per image that are trained on, for every sampler but all.")
    background_low: float = Field(
        0.1, ge=0, lt=0.5, description="Lowest IoU of a background RoI with a word, for heuristic."
    )
    nms_iou: float = Field(
        0.7, gt=0, le=1, description="IoU above which two RoIs count as the same region, for mining."
    )
    rank_by: RankBy = Field(
        "loss",
        description="What mining ranks by. loss: log loss plus box loss, as in the paper. text: log loss alone, so that words "
        "with imprecise boxes do not crowd out background taken for text.",
    )
    bootstrap_every: int = Field(
        500, ge=1, description="Steps between two collections of false positives, for bootstrap."
    )
    bootstrap_crops: int = Field(1000, ge=1, description="Crops searched in each collection, for bootstrap.")
    levels: tuple[Literal["decoder2", "decoder4", "decoder8", "vgg4", "vgg8"], ...] = Field(
        ("decoder2",), min_length=1, description="Features that the head reads, by part of the network and stride."
    )
    pool: tuple[int, int] = Field((7, 7), description="RoIAlign bins, down and across.")
    hidden: int = Field(256, ge=1, description="Width of the head's two fully connected layers.")
    proposals: RegionProposalSettings = RegionProposalSettings()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if min(self.pool) < 1:
            raise ValueError(f"pool must be two numbers of bins, at least 1 each, not {list(self.pool)}")
        if self.enabled and self.sampler == "bootstrap" and self.train != "alone":
            raise ValueError(
                "sampler: bootstrap keeps the features of the RoIs it collected, so they must not change; set train: alone"
            )
        return self


class DistillationSettings(Settings):
    """A teacher network's score maps of the training crops as targets."""

    weights: UserPath | None = Field(
        None, description="The teacher: a weights file or a name (mlt, small). Without it, labels alone."
    )
    share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of the loss against the teacher's maps; 1 ignores the labels. Needs weights. The log has the loss against the labels, at 1 that against the teacher.",
    )


class OptimizerSettings(Settings):
    """AdamW, its schedule and the moving average of the weights."""

    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate.")
    weight_decay: float = Field(1e-4, ge=0, description="Decoupled weight decay; biases and batch norm have none.")
    warmup_steps: int = Field(100, ge=0, description="Steps over which the learning rate rises from 0 to its peak.")
    decay: Literal["cosine", "step", "constant"] = Field(
        "cosine", description="What the learning rate does after the warm-up."
    )
    final_share: float = Field(
        0.02, ge=0, le=1, description="Learning rate at the last step as a share of the peak, for cosine."
    )
    step_every: int = Field(10_000, gt=0, description="Steps between two drops of the learning rate, for step.")
    step_factor: float = Field(0.8, gt=0, le=1, description="Factor of each drop, for step.")
    gradient_clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    accumulate: int = Field(1, ge=1, description="Batches whose gradients are averaged into one step.")
    average_decay: float = Field(
        0.999, ge=0, lt=1, description="Decay of the moving average of the weights; 0 turns it off."
    )


class TrainingSettings(Settings):
    """The training loop."""

    seed: int = Field(0, ge=0, description="Seed of all random choices.")
    steps: int = Field(25_000, gt=0, description="Optimizer steps.")
    batch_size: int = Field(8, gt=0, description="Crops per process and batch.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 if the device computes in it natively, else fp32."
    )
    compile: bool = Field(
        False,
        description="Compile the network with torch.compile: faster steps after minutes of compiling; results are rounded differently.",
    )
    device: Device = Field("auto", description="cpu, mps, cuda or cuda:N. auto: cuda, else mps, else cpu.")
    log_every: int = Field(10, gt=0, description="Steps between two lines of metrics.jsonl.")
    save_every: int = Field(500, gt=0, description="Steps between two checkpoints.")
    validate_every: int = Field(
        1000, gt=0, description="Steps between two validations; the last step is always validated."
    )
    patience: int = Field(
        0,
        ge=0,
        description="Validations in a row without a better H-mean after which training stops early; 0 never does.",
    )
    pictures_every: int = Field(1000, gt=0, description="Steps between two images of score maps.")
    snapshots: tuple[int, ...] = Field(
        (), description="Steps after which the weights are also kept, as snapshots/step_N.safetensors."
    )
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        (), description="Services that the numbers of metrics.jsonl also go to; each is an extra of its name."
    )
    tensorboard: bool = Field(False, description="The same as tensorboard among `loggers`, as in earlier versions.")

    @property
    def all_loggers(self) -> tuple[str, ...]:
        """The loggers by either setting."""
        return tuple(dict.fromkeys((*self.loggers, *(["tensorboard"] if self.tensorboard else []))))


class DetectionSettings(Settings):
    """From an image to score maps to words. Travels with the weights."""

    text_threshold: float = Field(0.7, ge=0, le=1, description="Lowest peak region score of a word.")
    low_text: float = Field(0.4, ge=0, le=1, description="Region score above which a pixel belongs to a word.")
    link_threshold: float = Field(0.4, ge=0, le=1, description="Affinity score above which a pixel links characters.")
    least_score: float = Field(
        0.0, ge=0, le=1, description="Words with a lower mean region score are dropped; 0 drops none."
    )
    least_side: float = Field(
        0.0,
        ge=0,
        description="Words whose box has a shorter side than this, in network input pixels, are dropped; 0 drops none.",
    )
    calibration: tuple[float, float] | None = Field(
        None,
        description="Offset and slope of the logistic curve that turns raw scores into the share of words that are right, "
        "from craft evaluate --calibrate; null leaves scores raw. Thresholds apply to raw scores.",
    )
    sizing: Literal["original", "long_side", "scale", "auto"] = Field(
        "original",
        description="auto: as original, then, if that shrank the image, once more at `magnify` where the words found, or "
        "some windows, show text that is too small for it. original: the image is magnified by `magnify`, its long side limited to `canvas` (of a strip, the long side that four times its width would be). long_side: it is "
        "resized to that long side. scale: it is magnified by `magnify`, whatever its size.",
    )
    magnify: float = Field(1.5, gt=0, le=10, description="Magnification, for original, scale and auto.")
    canvas: int = Field(
        1280, ge=32, description="Longest side in network input pixels, for original and the first pass of auto."
    )
    long_side: int = Field(1280, ge=32, description="Long side in network input pixels, for long_side.")
    tile: int = Field(
        2560,
        ge=0,
        description="Images with a longer side in network input pixels are scored in overlapping tiles of at most this side: "
        f"the same maps in the memory of one tile. At least {LEAST_TILE}; 0 switches tiling off.",
    )
    pixel_rule: PixelRule = Field(
        "centre",
        description="Input coordinate of map index i. corner: 2 i, as in the original. centre: 2 (i + 0.5).",
    )
    keep_padding: bool = Field(
        False, description="Keep the padding to a multiple of 32 in the maps, as the original does."
    )
    region_weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the region head in a word's score: maps^(1 - share) * head^share.",
    )
    region_threshold: float = Field(
        0.2, ge=0, le=1, description="Words that the region head scores lower are dropped; 0 drops none."
    )
    region_refine: bool = Field(False, description="Use the region head's box for axis-aligned words.")

    @model_validator(mode="after")
    def _check_tile(self) -> Self:
        if 0 < self.tile < LEAST_TILE:
            raise ValueError(f"tile is {self.tile}; a tile has at least {LEAST_TILE} pixels, and 0 switches tiling off")
        return self


class Config(Settings):
    """Everything a training run needs."""

    extends: str | None = Field(None, description="Configuration file to start from, relative to this one.")
    weights: UserPath | None = Field(
        None, description="Weights to start from: a name, or any readable file, also one that fits in part."
    )
    freeze: tuple[str, ...] = Field(
        (), description="Parameters that are not trained, by prefix of their names: basenet.slice1."
    )
    data: DataSettings = DataSettings()
    augment: AugmentSettings = AugmentSettings()
    model: ModelSettings = ModelSettings()
    ohem: OhemSettings = OhemSettings()
    region: RegionSettings = RegionSettings()
    distillation: DistillationSettings = DistillationSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    training: TrainingSettings = TrainingSettings()
    detection: DetectionSettings = DetectionSettings()


_TEACHER_SETTINGS = ("refresh", "delay", "splitter", "height")

# Settings of earlier versions, and what does their work now.
_REMOVED = {"data.on_device": "loader processes do this work"}


class _Named(tuple[str, ...]):
    """Any value but none and an empty list; holds what messages ask for."""

    def __contains__(self, value: object) -> bool:
        return value not in (None, (), [])


# Settings that have an effect only with certain values of another: (key, other key, values of the other).
USED_ONLY_WITH: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    *((f"data.characters.{name}", "data.characters.source", ("teacher",)) for name in _TEACHER_SETTINGS),
    *((f"data.characters.{name}", "data.characters.source", ("file",)) for name in ("files", "weights")),
    ("model.sync_batch_norm", "model.freeze_batch_norm", (False,)),
    ("ohem.ratio", "ohem.rule", RATIO_RULES),
    ("ohem.min_negatives", "ohem.rule", RATIO_RULES),
    ("ohem.final_ratio", "ohem.rule", RATIO_RULES),
    ("ohem.gamma", "ohem.rule", ("focal",)),
    ("distillation.share", "distillation.weights", _Named(["a teacher's weights"])),
    ("training.patience", "data.validation", _Named(["a dataset to score"])),
    ("optimizer.final_share", "optimizer.decay", ("cosine",)),
    ("optimizer.step_every", "optimizer.decay", ("step",)),
    ("optimizer.step_factor", "optimizer.decay", ("step",)),
    ("detection.magnify", "detection.sizing", ("original", "scale", "auto")),
    ("detection.canvas", "detection.sizing", ("original", "auto")),
    ("detection.long_side", "detection.sizing", ("long_side",)),
    ("region.background_low", "region.sampler", ("heuristic",)),
    ("region.nms_iou", "region.sampler", ("ohem", "ohem-zeroed")),
    ("region.rank_by", "region.sampler", ("ohem", "ohem-zeroed")),
    ("region.rois_per_image", "region.sampler", ("heuristic", "ohem", "ohem-zeroed", "bootstrap")),
    ("region.bootstrap_every", "region.sampler", ("bootstrap",)),
    ("region.bootstrap_crops", "region.sampler", ("bootstrap",)),
    *((f"region.{name}", "region.enabled", (True,)) for name in RegionSettings.model_fields if name != "enabled"),
    *((f"detection.{name}", "region.enabled", (True,)) for name in DetectionSettings.model_fields if "region_" in name),
)


def load_config(path: str | Path, *, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read a configuration file, the files it extends, and "a.b=c" overrides from the command line (c in YAML).

    Raises:
        ValueError: the file cannot be read, a key is unknown (the nearest known key is suggested), a value is out of
            range, or a setting is given that would have no effect. The message names the file.
    """
    own = read_yaml(Path(path))
    in_file = deep_merge(inherited_settings(own, Path(path), seen=(Path(path).resolve(),)), own)
    if (Path(path).parent / RUN_RECORD).exists():
        in_file = without_removed(in_file)
    config = validate_config(in_file, where=str(path), given=own)
    if not overrides:
        return config
    given = parse_settings(overrides)
    return validate_config(deep_merge(in_file, given), where=f"{path} with --set {' '.join(overrides)}", given=given)


def validate_config(values: dict[str, Any], *, where: str, given: dict[str, Any] | None = None) -> Config:
    """Validate nested settings.

    Raises as `load_config`.

    Args:
        where: what error messages call their source.
        given: the part of `values` that the user gave here and that must therefore have an effect.
    """
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ValueError("\n".join(f"{where}: {_explain(item)}" for item in error.errors())) from None
    _refuse_idle(config, given or {}, where)
    return config


def _explain(error: Any) -> str:
    name = ".".join(map(str, error["loc"]))
    return f"{name} was removed: {_REMOVED[name]}" if name in _REMOVED else explain_error(error, Config)


def without_removed(values: dict[str, Any]) -> dict[str, Any]:
    """The nested settings that an earlier version of craft wrote, without those that no longer exist."""
    kept = copy.deepcopy(values)
    for key in _REMOVED:
        section, _, name = key.rpartition(".")
        found = lookup(kept, section)
        if isinstance(found, dict):
            found.pop(name, None)
    return kept


def dump_config(config: Config) -> str:
    """Format every setting that has an effect as YAML, in the order of the classes above."""
    return yaml.safe_dump(effective_settings(config), sort_keys=False, allow_unicode=True)


def effective_settings(config: Config) -> dict[str, Any]:
    """The settings that have an effect, as nested plain values; validating them gives a configuration that does the same."""
    everything = config.model_dump(mode="json")
    values = config.model_dump(mode="json")
    for key, other, users in USED_ONLY_WITH:
        if lookup(everything, other) not in users:
            section, _, name = key.rpartition(".")
            lookup(values, section).pop(name, None)
    if not config.region.enabled:
        del values["region"]
    if config.distillation.weights is None:
        del values["distillation"]
    for name in ("train", "validation"):
        values["data"][name] = [_effective_dataset(dataset) for dataset in values["data"][name]]
    return values


def _effective_dataset(values: dict[str, Any]) -> dict[str, Any]:
    idle = (*_READING_KEYS, "split") if values["format"] == "synth" else _RENDERING_KEYS
    return {name: value for name, value in values.items() if name not in idle}


def _refuse_idle(config: Config, given: dict[str, Any], where: str) -> None:
    for key, other, users in USED_ONLY_WITH:
        if lookup(given, key) is ABSENT:
            continue
        value = lookup(config.model_dump(), other)
        if value not in users:
            wanted = " or ".join(str(user) for user in users)
            raise ValueError(
                f"{where}: {key} has no effect with {other}: {value}; remove it, or set {other} to {wanted}"
            )
