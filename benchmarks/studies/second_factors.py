"""Tables of a study's variants under changed conditions: a folder of `craft compare` for each condition.

    python benchmarks/studies/second_factors.py "as planned=runs/ohem" "30 % of labels removed=runs/ohem_noise_30" --seeds 1 2 3

Each row is a variant under a condition, at its own thresholds, over the seeds given: H-mean, average precision, and false
words on photographs without text; in brackets the 95 % interval over seeds of the difference from the reference variant
of the same condition.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from craft.studies.collect import Table, collect
from craft.studies.statistics import estimate, paired_difference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("conditions", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--split", default="both")
    parser.add_argument("--variants", nargs="+", help="variants to list (default all that have run)")
    options = parser.parse_args()
    print("| condition | variant | seeds | H-mean | difference | AP | difference | false words per photograph |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for condition in options.conditions:
        name, folder = condition.split("=", 1)
        print_rows(name, collect(Path(folder)).table(options.split, "own"), options)


def print_rows(name: str, table: Table, options: argparse.Namespace) -> None:
    reference = next(row for row in table.rows if row.difference is None)
    for row in table.rows:
        if options.variants and row.variant not in options.variants:
            continue
        cells = [name, f"`{row.variant}`", ""]
        for metric in ("hmean", "average_precision"):
            values = {seed: value for seed, value in row.values[metric].items() if seed in options.seeds}
            cells[2] = str(len(values))
            cells.append(f"{100 * estimate(list(values.values())).mean:.1f}")
            if row is reference:
                cells.append("reference")
                continue
            gap = paired_difference(values, reference.values[metric])
            interval = f" ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})" if gap.num_seeds > 2 else ""
            cells.append(f"{100 * gap.mean:+.1f}{interval}")
        false_words = [value for seed, value in row.values["false_words"].items() if seed in options.seeds]
        print(f"| {' | '.join([*cells, f'{estimate(false_words).mean:.2f}'])} |")


if __name__ == "__main__":
    main()
