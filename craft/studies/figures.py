"""A study's figures as PNG."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from craft.studies.collect import Results
from craft.studies.pixel_locations import PLACES

COLOURS = ("#3564d9", "#d9622b", "#2a9d6f", "#b23aa6", "#c79a1b", "#d13b4f", "#1d9bb5", "#7a6ff0", "#6b7280", "#8a5a2b")
"""One a variant, in the study's order; the page uses the same."""

_PLACE_COLOURS = ("#d13b4f", "#e39b3c", "#4b83d6", "#b9c2d0")


def write_figures(results: Results, out: Path) -> list[tuple[str, str]]:
    """Write the figures of a study.

    Args:
        results: of the study.
        out: folder for the PNGs.

    Returns:
        (title, file name) of each.
    """
    # The figure classes themselves, so that no backend is chosen for the whole process.
    from matplotlib.figure import Figure

    written = []
    for title, name, width, draw in (
        ("H-mean by variant, mean and 95 % interval over seeds", "hmean.png", 9.0, _draw_hmeans),
        ("Loss during training", "curves.png", 9.0, _draw_curves),
        ("Where the kept background lies", "places.png", 9.0, _draw_places),
    ):
        figure = Figure(figsize=(width, 3.8), dpi=150, layout="constrained")
        draw(figure, results)
        figure.savefig(out / name)
        written.append((title, name))
    return written


def _draw_hmeans(figure: Any, results: Results) -> None:
    axes = figure.subplots(1, len(results.study.splits), squeeze=False)[0]
    names = list(results.configs)
    for axis, split in zip(axes, results.study.splits, strict=True):
        table = results.table(split, "shared")
        for place, row in enumerate(table.rows):
            one = row.estimates["hmean"]
            colour = COLOURS[list(results.study.variants).index(row.variant) % len(COLOURS)]
            seeds = [100 * value for value in row.values["hmean"].values()]
            axis.plot([place - 0.18] * len(seeds), seeds, ".", color=colour, alpha=0.5, markersize=5)
            reach = 0 if math.isnan(one.high) else 100 * (one.high - one.mean)
            axis.errorbar([place], [100 * one.mean], yerr=[[reach], [reach]], fmt="o", color=colour, capsize=4)
        low, high = axis.get_ylim()
        axis.set_ylim(max(low, -2), min(high, 102))  # few seeds give intervals beyond anything possible
        axis.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
        axis.set_title(f"{split}: H-mean x 100", fontsize=10)
        axis.grid(axis="y", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)


def _draw_curves(figure: Any, results: Results) -> None:
    left, right = figure.subplots(1, 2)
    for variant in results.configs:
        colour = COLOURS[list(results.study.variants).index(variant) % len(COLOURS)]
        runs = results.of_variant(variant)
        steps = [line["step"] for line in runs[0].train]
        losses = [[line["loss"] for line in one.train] for one in runs]
        left.plot(steps, np.mean(losses, axis=0), color=colour, label=variant)
        looked = [one.probe["snapshots"] for one in runs]
        common = [[shot["region"]["common_loss"] + shot["affinity"]["common_loss"] for shot in one] for one in looked]
        right.plot([shot["step"] for shot in looked[0]], np.mean(common, axis=0), "o-", color=colour, markersize=3)
    left.set_title("training loss: each rule's own, not comparable", fontsize=10)
    right.set_title("one loss for all: every pixel of fixed crops", fontsize=10)
    left.legend(fontsize=7, ncols=2)
    for axis in (left, right):
        axis.set_xlabel("step", fontsize=9)
        axis.set_yscale("log")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)


def _draw_places(figure: Any, results: Results) -> None:
    axis = figure.subplots()
    names = list(results.configs)
    first = results.runs[0].probe["snapshots"][-1]["region"]["background_shares"]
    rows = [(f"{name}", _late_shares(results, name)) for name in names] + [("all background", np.asarray(first))]
    for number, (_, shares) in enumerate(rows):
        left = 0.0
        for place, share in enumerate(shares):
            axis.barh(number, 100 * share, left=left, color=_PLACE_COLOURS[place], height=0.7)
            left += 100 * share
    axis.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("share of the kept background's weight, region map, last step, %", fontsize=9)
    for place, name in enumerate(PLACES):
        axis.barh([0], [0], color=_PLACE_COLOURS[place], label=name)
    axis.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _late_shares(results: Results, variant: str) -> np.ndarray:
    late = [one.probe["snapshots"][-1]["region"]["kept_shares"] for one in results.of_variant(variant)]
    return np.asarray(np.mean(late, axis=0))
