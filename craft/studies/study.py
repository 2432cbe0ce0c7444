"""Studies: what is compared, on which scenes, for how long, and what each run of it trains with. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from craft.config import Config, DatasetSettings, Protocol, Settings, load_config, validate_config
from craft.config_files import deep_merge, explain_error, parse_settings, read_yaml
from craft.evaluation.thresholds import Thresholds, threshold_grid

SYNTHETIC = "synth:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SynthSettings(Settings):
    """Scenes that the study draws for itself, once, before its runs."""

    preset: Literal["quickstart", "full"] = Field("quickstart", description="Kind of scenes, as for craft synth.")
    count: int = Field(gt=0, description="Number of scenes.")
    seed: int = Field(ge=0, description="Scenes follow from preset, seed and number alone.")
    settings: dict[str, Any] = Field({}, description="Changes to the preset's settings: words: [0, 0].")


class BudgetSettings(Settings):
    """How long every variant trains; exactly one of the three."""

    steps: int | None = Field(None, gt=0, description="Optimizer steps.")
    images: int | None = Field(None, gt=0, description="Crops seen; rounded up to whole steps.")
    seconds: float | None = Field(
        None, gt=0, description="Training time; turned into steps once a variant, by timing it on the machine at hand."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.steps, self.images, self.seconds)) != 1:
            raise ValueError("give exactly one of steps, images and seconds")
        return self


class SplitSettings(Settings):
    """Scenes that results are reported on, and others of the same kind by which thresholds are chosen."""

    choose: tuple[DatasetSettings, ...] = Field(min_length=1, description="Scenes by which thresholds are chosen.")
    report: tuple[DatasetSettings, ...] = Field(min_length=1, description="Scenes that are reported.")
    without_text: tuple[DatasetSettings, ...] = Field(
        (), description="Scenes without text: whatever is found there is wrong. Same thresholds as `report`."
    )


class GridSettings(Settings):
    """Thresholds that are tried on the scenes of `choose`."""

    text: tuple[float, ...] = Field((0.3, 0.4, 0.5, 0.6, 0.7), description="Values of text_threshold.")
    low: tuple[float, ...] = Field((0.2, 0.3, 0.4), description="Values of low_text.")
    link: tuple[float, ...] = Field((0.2, 0.3, 0.4, 0.6), description="Values of link_threshold.")
    region: tuple[float, ...] = Field(
        (0.0,), description="Values of region_threshold, where variants have a region head."
    )


class CurveSettings(Settings):
    """Scores during training, for steps to reach an H-mean. Thresholds are those of the base configuration."""

    sets: tuple[DatasetSettings, ...] = Field((), description="Scenes scored during training; none: no curve.")
    points: int = Field(6, gt=0, description="Validations in a run, evenly spaced; the last is at the end.")
    levels: tuple[float, ...] = Field((0.1, 0.2, 0.3, 0.4, 0.5), description="H-means whose first step is reported.")


class ViewSettings(Settings):
    """What the page's viewer holds."""

    scenes: int = Field(24, ge=0, description="Reported scenes shown, evenly spaced over the splits.")
    long_side: int = Field(640, ge=64, description="Long side of the pictures on the page, pixels.")


class Study(Settings):
    """A comparison: variants of one configuration, trained under the same seeds and budget."""

    name: str = Field(description="Short name, for files.")
    title: str = Field(description="The question, for people.")
    base: str = Field(description="Configuration of the runs, relative to the study's file.")
    variants: dict[str, dict[str, Any]] = Field(min_length=1, description="Changes to the configuration, by name.")
    reference: str = Field(description="Variant that the others are compared with.")
    seeds: tuple[int, ...] = Field(min_length=1, description="Every variant trains once under each.")
    budget: BudgetSettings
    synth: dict[str, SynthSettings] = Field({}, description="Sets to draw; a set's path synth:NAME means one of these.")
    train: tuple[DatasetSettings, ...] = Field((), description="Training sets; those of the base where left out.")
    splits: dict[str, SplitSettings] = Field(min_length=1, description="What is reported, by name.")
    thresholds: GridSettings = GridSettings()
    curve: CurveSettings = CurveSettings()
    view: ViewSettings = ViewSettings()
    protocol: Protocol = Field("icdar2015", description="How words are scored.")
    threads: int | None = Field(
        None, gt=0, description="CPU threads of a run; results on a CPU may depend on it in their last digits."
    )
    probe_crops: int = Field(24, gt=0, description="Training crops on which the pixels kept are looked at.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.reference not in self.variants:
            raise ValueError(f"reference {self.reference!r} is no variant; use one of {', '.join(self.variants)}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} name one twice; name each once")
        for name in (self.name, *self.variants, *self.splits, *self.synth):
            if not _NAME.fullmatch(name):
                raise ValueError(f"name {name!r} cannot be a folder's; use letters, digits, '.', '_' and '-'")
        known = {SYNTHETIC + name for name in self.synth}
        for one in self.all_sets():
            if one.path.startswith(SYNTHETIC) and one.path not in known:
                raise ValueError(f"path {one.path} is not under synth; it has {', '.join(self.synth) or 'none'}")
        return self

    def all_sets(self) -> Iterator[DatasetSettings]:
        """Every set named in the study."""
        yield from (*self.train, *self.curve.sets)
        for split in self.splits.values():
            yield from (*split.choose, *split.report, *split.without_text)

    def grid(self) -> list[Thresholds]:
        """The thresholds tried."""
        tried = self.thresholds
        return threshold_grid(tried.text, tried.low, tried.link, region_thresholds=tried.region)


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a study.

    Attributes:
        variant: its variant's name.
        seed: its seed.
    """

    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Name for people and logs."""
        return f"{self.variant}, seed {self.seed}"

    def folder(self, out: Path) -> Path:
        """Where the run lies in a study's folder."""
        return out / "runs" / self.variant / f"seed_{self.seed}"


def load_study(path: str | Path, *, overrides: Sequence[str] = ()) -> Study:
    """Read a study's file and overrides from the command line, and check every variant's configuration.

    Args:
        path: YAML file.
        overrides: "a.b=c" each; c is read as YAML.

    Returns:
        The study, its `base` made absolute.

    Raises:
        ValueError: the file cannot be read, a setting is unknown, out of range or without effect, or a variant's
            configuration is refused.
    """
    values = deep_merge(read_yaml(Path(path)), parse_settings(list(overrides)))
    where = str(path) + (" with --set " + " ".join(overrides) if overrides else "")
    if isinstance(values.get("base"), str):
        values["base"] = str((Path(path).parent / values["base"]).resolve())
    study = validate_study(values, where=where)
    has_head = False
    for variant in study.variants:
        try:
            config = run_config(study, Run(variant, study.seeds[0]), Path("."), steps=1)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        has_head = has_head or config.region.enabled
    if "region" in study.thresholds.model_fields_set and not has_head:
        raise ValueError(f"{where}: thresholds.region has no effect: no variant has region.enabled: true; leave it out")
    return study


def validate_study(values: dict[str, Any], *, where: str) -> Study:
    """Check a nested dictionary of a study's settings.

    Args:
        values: what a study's file holds.
        where: what messages call it.

    Returns:
        The study.

    Raises:
        ValueError: a setting is unknown (the nearest known one is named) or out of range.
    """
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise ValueError("\n".join(f"{where}: {explain_error(item, Study)}" for item in error.errors())) from None


def study_runs(study: Study) -> list[Run]:
    """Every run of a study, seed by seed, so that a study cut short has compared all variants under some seeds."""
    return [Run(variant, seed) for seed in study.seeds for variant in study.variants]


def run_config(study: Study, run: Run, out: Path, *, steps: int) -> Config:
    """The configuration that a run trains with.

    Args:
        study: the study.
        run: which of its runs.
        out: the study's folder, where its synthetic sets lie.
        steps: optimizer steps.

    Returns:
        The base with the variant's changes, the seed, the steps and the study's sets; the same for all runs of a seed
        but for the variant's changes.

    Raises:
        ValueError: the base or the variant's changes are refused.
    """
    training = {
        "seed": run.seed,
        "steps": steps,
        "snapshots": snapshot_steps(steps),
        "validate_every": max(1, -(-steps // study.curve.points)),
    }
    data: dict[str, Any] = {"validation": _dumped(study.curve.sets, out)}
    if study.train:
        data["train"] = _dumped(study.train, out)
    base = load_config(study.base).model_dump(mode="json")
    changes = study.variants[run.variant]
    values = deep_merge(deep_merge(base, changes), {"training": training, "data": data})
    return validate_config(values, where=f"variant {run.variant}", given=changes)


def resolved(sets: Sequence[DatasetSettings], out: Path) -> list[DatasetSettings]:
    """Sets with the paths of those that the study draws filled in.

    Args:
        sets: as the study names them.
        out: the study's folder.

    Returns:
        The same sets; synth:NAME has become the file of exact labels in the study's folder.
    """
    return [
        one.model_copy(update={"path": str(synth_folder(out, one.path) / "scenes.jsonl"), "format": "jsonl"})
        if one.path.startswith(SYNTHETIC)
        else one
        for one in sets
    ]


def synth_folder(out: Path, name: str) -> Path:
    """Where a set that the study draws lies.

    Args:
        out: the study's folder.
        name: the set's name, with or without synth: before it.
    """
    return out / "synth" / name.removeprefix(SYNTHETIC)


def snapshot_steps(steps: int) -> list[int]:
    """The steps after which a run's weights are kept: a tenth, a quarter, a half, three quarters, all of them."""
    return sorted({max(1, round(share * steps)) for share in (0.1, 0.25, 0.5, 0.75, 1.0)})


def _dumped(sets: Sequence[DatasetSettings], out: Path) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json", exclude_defaults=True) for one in resolved(sets, out)]
