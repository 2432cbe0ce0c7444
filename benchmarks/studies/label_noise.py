"""Copy ICDAR labels without some of their readable words, for studies of label noise.

python benchmarks/studies/label_noise.py --labels data/icdar2015/ch4_training_localization_transcription_gt \
  --share 0.3 --seed 1 --out data/noise_30/icdar2015

A word that is left out becomes unlabelled text, which a network is told is background. Don't-care words stay.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np


def main() -> None:
    """Write the labels, and print how many words were left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="folder of gt_img_N.txt")
    parser.add_argument("--share", type=float, required=True, help="share of the readable words to leave out, 0 to 1")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(arguments.seed)
    left_out = readable = 0
    for path in sorted(arguments.labels.glob("gt_img_*.txt")):
        kept = []
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            cared = bool(line.strip()) and line.split(",", 8)[-1].strip() != "###"
            drop = cared and generator.random() < arguments.share
            readable += cared
            left_out += drop
            if not drop:
                kept.append(line)
        (arguments.out / path.name).write_text("\n".join(kept) + "\n", encoding="utf-8")
    print(f"{arguments.out}: {left_out} of {readable} readable words left out")


if __name__ == "__main__":
    main()
