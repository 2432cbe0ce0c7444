"""A study's figures as PNG files."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from craft.studies.collect import Results
from craft.studies.pixel_locations import LOCATIONS
from craft.studies.study import Study

COLOURS = ("#3564d9", "#d9622b", "#2a9d6f", "#b23aa6", "#c79a1b", "#d13b4f", "#1d9bb5", "#7a6ff0", "#6b7280", "#8a5a2b")
_LOCATION_COLOURS = ("#d13b4f", "#e39b3c", "#4b83d6", "#b9c2d0")


def variant_colour(study: Study, variant: str) -> str:
    """Return the colour of a variant, on the page too."""
    return COLOURS[list(study.variants).index(variant) % len(COLOURS)]


def write_figures(results: Results, out: Path) -> list[tuple[str, str]]:
    """Write the figures into the folder `out`, and return (title, file name) of each."""
    # The figure classes themselves, so that no backend is chosen for the whole process.
    from matplotlib.figure import Figure

    written = []
    for title, name, draw in (
        ("H-mean by variant, mean and 95 % interval over seeds", "hmean.png", _draw_hmeans),
        ("Loss during training", "curves.png", _draw_curves),
        ("Where the kept background lies", "places.png", _draw_locations),
    ):
        figure = Figure(figsize=(9.0, 3.8), dpi=150, layout="constrained")
        draw(figure, results)
        figure.savefig(out / name)
        written.append((title, name))
    return written


def _draw_hmeans(figure: Any, results: Results) -> None:
    axes = figure.subplots(1, len(results.study.splits), squeeze=False)[0]
    names = list(results.configs)
    for axis, split in zip(axes, results.study.splits, strict=True):
        for position, row in enumerate(results.table(split, "shared").rows):
            hmean = row.estimates["hmean"]
            colour = variant_colour(results.study, row.variant)
            seeds = [100 * value for value in row.values["hmean"].values()]
            axis.plot([position - 0.18] * len(seeds), seeds, ".", color=colour, alpha=0.5, markersize=5)
            reach = 0 if math.isnan(hmean.high) else 100 * (hmean.high - hmean.mean)
            axis.errorbar([position], [100 * hmean.mean], yerr=[[reach], [reach]], fmt="o", color=colour, capsize=4)
        low, high = axis.get_ylim()
        axis.set_ylim(max(low, -2), min(high, 102))  # few seeds give intervals beyond anything possible
        axis.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
        axis.set_title(f"{split}: H-mean x 100", fontsize=10)
        axis.grid(axis="y", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)


def _draw_curves(figure: Any, results: Results) -> None:
    left, right = figure.subplots(1, 2)
    for variant in results.configs:
        colour = variant_colour(results.study, variant)
        runs = results.of_variant(variant)
        losses = [[line["loss"] for line in result.train] for result in runs]
        left.plot([line["step"] for line in runs[0].train], np.mean(losses, axis=0), color=colour, label=variant)
        snapshots = [result.kept_pixels["snapshots"] for result in runs]
        common = [
            [snapshot["region"]["common_loss"] + snapshot["affinity"]["common_loss"] for snapshot in of_run]
            for of_run in snapshots
        ]
        steps = [snapshot["step"] for snapshot in snapshots[0]]
        right.plot(steps, np.mean(common, axis=0), "o-", color=colour, markersize=3)
    left.set_title("training loss: each rule's own, not comparable", fontsize=10)
    right.set_title("one loss for all rules: every pixel of fixed crops", fontsize=10)
    left.legend(fontsize=7, ncols=2)
    for axis in (left, right):
        axis.set_xlabel("step", fontsize=9)
        axis.set_yscale("log")
        axis.set_ylabel("loss (logarithmic)", fontsize=9)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)


def _draw_locations(figure: Any, results: Results) -> None:
    axis = figure.subplots()
    background = results.runs[0].kept_pixels["snapshots"][-1]["region"]["background_shares"]
    rows = [(name, _last_shares(results, name)) for name in results.configs]
    rows.append(("all background", np.asarray(background)))
    for number, (_name, shares) in enumerate(rows):
        left = 0.0
        for share, colour in zip(shares, _LOCATION_COLOURS, strict=True):
            axis.barh(number, 100 * share, left=left, color=colour, height=0.7)
            left += 100 * share
    axis.set_yticks(range(len(rows)), [name for name, _shares in rows], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("share of the kept background's weight, region map, last step, %", fontsize=9)
    for name, colour in zip(LOCATIONS, _LOCATION_COLOURS, strict=True):
        axis.barh([0], [0], color=colour, label=name)
    axis.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _last_shares(results: Results, variant: str) -> np.ndarray:
    runs = results.of_variant(variant)
    return np.mean([result.kept_pixels["snapshots"][-1]["region"]["kept_shares"] for result in runs], axis=0)
