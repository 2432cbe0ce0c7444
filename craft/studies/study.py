"""A study: what it compares, on which scenes and for how long, and the configuration of each of its runs."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from craft.config import Config, DatasetSettings, Preset, Protocol, Settings, load_config, validate_config
from craft.config_files import deep_merge, explain_error, parse_settings, read_yaml
from craft.evaluation.thresholds import Thresholds, threshold_grid

SYNTHETIC = "synth:"  # starts the path of a dataset that the study renders
DONE = "run.json"  # in a run's folder when, and only when, all of the run is done
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class SynthSettings(Settings):
    """Scenes that the study renders for itself, once, before its runs."""

    preset: Preset = Field("quickstart", description="Kind of scenes, as for craft synth.")
    count: int = Field(gt=0, description="Number of scenes.")
    seed: int = Field(ge=0, description="Seed of the scenes.")
    settings: dict[str, Any] = Field({}, description="Changes to the preset's settings, such as words: [0, 0].")


class BudgetSettings(Settings):
    """How long every variant trains; exactly one of the three settings."""

    steps: int | None = Field(None, gt=0, description="Optimizer steps.")
    images: int | None = Field(None, gt=0, description="Crops seen; rounded up to whole steps.")
    seconds: float | None = Field(
        None, gt=0, description="Training time; timing each variant once on this machine turns it into steps."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.steps, self.images, self.seconds)) != 1:
            raise ValueError("give exactly one of steps, images and seconds")
        return self


class SplitSettings(Settings):
    """Scenes whose scores are reported, and other scenes of the same kind for choosing thresholds."""

    choose: tuple[DatasetSettings, ...] = Field(min_length=1, description="Scenes on which thresholds are chosen.")
    report: tuple[DatasetSettings, ...] = Field(min_length=1, description="Scenes whose scores are reported.")
    without_text: tuple[DatasetSettings, ...] = Field(
        (), description="Scenes without text, where every detection is wrong. Same thresholds as `report`."
    )


class GridSettings(Settings):
    """Thresholds to try on the scenes of `choose`."""

    text: tuple[float, ...] = Field((0.3, 0.4, 0.5, 0.6, 0.7), description="Values of text_threshold.")
    low: tuple[float, ...] = Field((0.2, 0.3, 0.4), description="Values of low_text.")
    link: tuple[float, ...] = Field((0.2, 0.3, 0.4, 0.6), description="Values of link_threshold.")
    region: tuple[float, ...] = Field(
        (0.0,), description="Values of region_threshold, where variants have a region head."
    )


class CurveSettings(Settings):
    """Validation during training, which tells the steps to reach an H-mean; at the thresholds of the base configuration."""

    sets: tuple[DatasetSettings, ...] = Field(
        (), description="Scenes scored during training; without any there is no curve."
    )
    points: int = Field(6, gt=0, description="Validations of a run, evenly spaced; the last is at the end.")
    levels: tuple[float, ...] = Field(
        (0.1, 0.2, 0.3, 0.4, 0.5), description="H-means for which the first step that reaches them is reported."
    )


class ViewSettings(Settings):
    """What the viewer of the page holds."""

    scenes: int = Field(24, ge=0, description="Number of reported scenes, evenly spaced over the splits.")
    long_side: int = Field(640, ge=64, description="Long side of the images on the page, pixels.")


class Study(Settings):
    """A comparison of variants of one configuration, trained with the same seeds and budget."""

    name: str = Field(description="Short name, used for files.")
    title: str = Field(description="The question that the study answers.")
    base: str = Field(description="Configuration file of the runs, relative to the study's file.")
    variants: dict[str, dict[str, Any]] = Field(min_length=1, description="Changes to the configuration, by name.")
    reference: str = Field(description="Variant that the others are compared with.")
    seeds: tuple[int, ...] = Field(min_length=1, description="Every variant trains once with each.")
    budget: BudgetSettings
    synth: dict[str, SynthSettings] = Field(
        {}, description="Datasets to render; a dataset's path synth:NAME means one of these."
    )
    train: tuple[DatasetSettings, ...] = Field(
        (), description="Training datasets of variants without data.train; by default those of the base configuration."
    )
    splits: dict[str, SplitSettings] = Field(min_length=1, description="Groups of scenes to report on, by name.")
    thresholds: GridSettings = GridSettings()
    curve: CurveSettings = CurveSettings()
    view: ViewSettings = ViewSettings()
    protocol: Protocol = Field("icdar2015", description="Protocol for scoring words.")
    threads: int | None = Field(
        None, gt=0, description="CPU threads of a run; the last digits of results on a CPU may depend on it."
    )
    probe_crops: int = Field(24, gt=0, description="Training crops on which the kept pixels are examined.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.reference not in self.variants:
            raise ValueError(f"reference {self.reference!r} is not a variant; use one of {', '.join(self.variants)}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} repeat a seed; list each seed once")
        for name in (self.name, *self.variants, *self.splits, *self.synth):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a folder; use letters, digits, '.', '_' and '-'")
        known = {SYNTHETIC + name for name in self.synth}
        for dataset in self.all_datasets():
            if dataset.path.startswith(SYNTHETIC) and dataset.path not in known:
                raise ValueError(f"path {dataset.path} is not under synth, which has {', '.join(self.synth) or 'none'}")
        return self

    def all_datasets(self) -> Iterator[DatasetSettings]:
        """Yield every dataset that the study names."""
        yield from (*self.train, *self.curve.sets)
        for split in self.splits.values():
            yield from (*split.choose, *split.report, *split.without_text)

    def grid(self) -> list[Thresholds]:
        """List the combinations of thresholds to try."""
        tried = self.thresholds
        return threshold_grid(tried.text, tried.low, tried.link, region_thresholds=tried.region)


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a study: a variant under a seed."""

    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Name in messages and logs."""
        return f"{self.variant}, seed {self.seed}"

    def folder(self, out: Path) -> Path:
        """Return the run's folder inside the study's folder."""
        return out / "runs" / self.variant / f"seed_{self.seed}"


def load_study(path: str | Path, *, overrides: Sequence[str] = ()) -> Study:
    """Read a study's YAML file with overrides "a.b=c", make its `base` absolute, and check every variant's configuration.

    Raises ValueError if the file cannot be read, a setting is unknown, out of range or without effect, or a variant's
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


def read_study(out: Path) -> Study:
    """Read the study from its folder."""
    path = out / "study.yaml"
    return validate_study(read_yaml(path), where=str(path))


def validate_study(values: dict[str, Any], *, where: str) -> Study:
    """Check what a study's file holds; `where` names the file in messages.

    Raises ValueError if a setting is unknown (the nearest known one is named) or out of range.
    """
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise ValueError("\n".join(f"{where}: {explain_error(item, Study)}" for item in error.errors())) from None


def study_runs(study: Study) -> list[Run]:
    """List every run of a study, seed by seed, so that a study cut short has compared all variants for some seeds."""
    return [Run(variant, seed) for seed in study.seeds for variant in study.variants]


def run_config(study: Study, run: Run, out: Path, *, steps: int) -> Config:
    """Build the configuration of a run: the base with the variant's changes, and the study's seed, steps and datasets.

    Configurations of one seed differ in the variant's changes alone. The study's folder holds its synthetic datasets.
    Raises ValueError if the base or the variant's changes are refused.
    """
    training = {
        "seed": run.seed,
        "steps": steps,
        "snapshots": snapshot_steps(steps),
        "validate_every": max(1, -(-steps // study.curve.points)),
    }
    values = load_config(study.base).model_dump(mode="json")
    if study.train:
        values["data"]["train"] = [dataset.model_dump(mode="json", exclude_defaults=True) for dataset in study.train]
    changes, where = study.variants[run.variant], f"variant {run.variant}"
    values = deep_merge(deep_merge(values, changes), {"training": training})
    config = validate_config(values, where=where, given=changes)
    for dataset in config.data.train:
        if dataset.path.startswith(SYNTHETIC) and dataset.path.removeprefix(SYNTHETIC) not in study.synth:
            raise ValueError(
                f"{where}: path {dataset.path} is not under synth, which has {', '.join(study.synth) or 'none'}"
            )
    sets = {"train": config.data.train, "validation": study.curve.sets}
    data = {name: tuple(resolve_datasets(datasets, out)) for name, datasets in sets.items()}
    return config.model_copy(update={"data": config.data.model_copy(update=data)})


def resolve_datasets(datasets: Sequence[DatasetSettings], out: Path) -> list[DatasetSettings]:
    """Replace the path synth:NAME of datasets that the study renders by the file of their labels in its folder."""
    return [
        dataset.model_copy(update={"path": str(synth_folder(out, dataset.path) / "scenes.jsonl"), "format": "jsonl"})
        if dataset.path.startswith(SYNTHETIC)
        else dataset
        for dataset in datasets
    ]


def synth_folder(out: Path, name: str) -> Path:
    """Return the folder of a dataset that the study renders, named with or without synth: before it."""
    return out / "synth" / name.removeprefix(SYNTHETIC)


def snapshot_steps(steps: int) -> list[int]:
    """List the steps after which a run's weights are kept: at 10, 25, 50, 75 and 100 % of the training."""
    return sorted({max(1, round(share * steps)) for share in (0.1, 0.25, 0.5, 0.75, 1.0)})


def view_steps(steps: int) -> tuple[int, int, int]:
    """Return the early, middle and late snapshot whose kept pixels the viewer shows."""
    snapshots = snapshot_steps(steps)
    return snapshots[0], snapshots[len(snapshots) // 2], snapshots[-1]
