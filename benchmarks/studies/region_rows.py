"""Words of scenes with what the maps and several region heads say of them, and the figures of a row of region_tables.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ranked_scores import average_precision_of, figure_of
from tqdm import tqdm

from craft.decode.decode import decode_maps, to_pixels
from craft.detection.detector import Detector
from craft.evaluation.image_score import ImageScore
from craft.evaluation.protocols import score_scene
from craft.evaluation.summary import summarise
from craft.models.weights import build_model, read_weights
from craft.region.rescoring import judge_words
from craft.scene import Scene

TEXT_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
HEAD_THRESHOLDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
HEAD_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
TRIED = (
    f"text threshold {', '.join(map(str, TEXT_THRESHOLDS))}; head's threshold {', '.join(map(str, HEAD_THRESHOLDS))}; "
    f"head's weight in the score {', '.join(map(str, HEAD_WEIGHTS))}"
)


@dataclass(frozen=True, eq=False)
class SceneWords:
    """Words of one scene at the lowest text threshold: quads, mean and largest region score, and each head's judgement."""

    quads_xy: np.ndarray
    scores: np.ndarray
    peaks: np.ndarray
    text: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Row:
    """Figures of one row and seed on the scenes that are reported, with the settings chosen on others."""

    chosen: dict[str, float]
    tried: list[dict[str, float]]
    at_thresholds: list[ImageScore]
    ranked: list[ImageScore]


def find_words(
    network: Path, heads: Mapping[str, Path], scenes: Sequence[Scene], file: Path, device: str
) -> list[SceneWords]:
    """Run a network once over scenes and let every head judge its words; what is in the file is not done again."""
    if not file.exists():
        first = next(iter(heads.values()), network)  # its features are those of the network, and it reads them
        detector = Detector.from_weights(first, device=device, region_weight=1.0) if heads else None
        detector = detector or Detector.from_weights(network, device=device)
        models = {name: build_model(read_weights(path)).to(detector.device).eval() for name, path in heads.items()}
        arrays: dict[str, list[np.ndarray]] = {}
        for scene in tqdm(scenes, desc=file.stem):
            for name, values in _look(detector, models, scene).items():
                arrays.setdefault(name, []).append(values)
        counts = np.array([len(one) for one in arrays["scores"]])
        partial = file.with_suffix(".partial.npz")
        np.savez_compressed(partial, counts=counts, **{name: np.concatenate(one) for name, one in arrays.items()})
        partial.replace(file)
    with np.load(file) as saved:
        ends = np.cumsum(saved["counts"])[:-1]
        parts = {name: np.split(saved[name], ends) for name in saved.files if name != "counts"}
    return [
        SceneWords(
            *(parts[name][index] for name in ("quads_xy", "scores", "peaks")),
            {name.removeprefix("text "): parts[name][index] for name in parts if name.startswith("text ")},
        )
        for index in range(len(scenes))
    ]


def _look(detector: Detector, models: Mapping, scene: Scene) -> dict[str, np.ndarray]:
    settings, scored = detector.settings, detector.score(scene.image_path)
    words = decode_maps(
        scored.region,
        scored.affinity,
        text_threshold=TEXT_THRESHOLDS[0],
        low_text=settings.low_text,
        link_threshold=settings.link_threshold,
        rule=settings.pixel_rule,
    )
    quads = to_pixels(words.quads, rule=settings.pixel_rule, scale_xy=scored.scale_xy)
    found = {"quads_xy": quads, "scores": words.scores, "peaks": words.components.peaks[words.component]}
    for name, model in models.items():
        arguments = (model.region.head, scored.levels, quads, words.scores, scored.scale_xy)
        found[f"text {name}"] = judge_words(*arguments, size_hw=scored.size_hw, settings=settings).text
    return found


class Split:
    """Scenes and their words; a scene with the same words kept is scored once."""

    def __init__(self, scenes: Sequence[Scene], words: Sequence[SceneWords]) -> None:
        self.scenes, self.words = scenes, words
        self._known: dict[tuple[int, bytes], ImageScore] = {}

    def at(self, head: str | None, text_threshold: float, head_threshold: float) -> list[ImageScore]:
        """Scores with the words that both thresholds leave."""
        scored = []
        for index, (scene, words) in enumerate(zip(self.scenes, self.words, strict=True)):
            kept = words.peaks >= np.float32(text_threshold)
            if head is not None:
                kept &= words.text[head] >= head_threshold
            key = (index, kept.tobytes())
            if key not in self._known:
                self._known[key] = score_scene(scene, words.quads_xy[kept], words.scores[kept], protocol="icdar2015")
            scored.append(self._known[key])
        return scored

    def ranked(self, head: str | None, weight: float) -> list[ImageScore]:
        """Scores with all words, ranked by maps^(1 - weight) * head^weight."""
        return [
            score_scene(
                scene,
                words.quads_xy,
                words.scores if head is None else mixed(words, head, weight),
                protocol="icdar2015",
            )
            for scene, words in zip(self.scenes, self.words, strict=True)
        ]


def mixed(words: SceneWords, head: str, weight: float) -> np.ndarray:
    return np.clip(words.scores, 0, 1) ** (1 - weight) * words.text[head] ** weight


def make_row(choose: Split, report: Split, head: str | None) -> Row:
    """Choose thresholds by H-mean and the head's weight by average precision on one split, and score the other."""
    thresholds = [(t, h) for t in TEXT_THRESHOLDS for h in (HEAD_THRESHOLDS if head else (0.0,))]
    tried = []
    for text, least in thresholds:
        hmean = summarise(choose.at(head, text, least)).hmean
        tried.append({"text_threshold": text, "region_threshold": least, "hmean": hmean})
    best = max(tried, key=lambda one: one["hmean"])
    weights = []
    for weight in HEAD_WEIGHTS if head else (0.0,):
        figure = figure_of(choose.ranked(head, weight), average_precision_of)
        weights.append({"region_weight": weight, "average_precision": figure})
    weight = max(weights, key=lambda one: one["average_precision"])["region_weight"]
    chosen = {key: best[key] for key in ("text_threshold", "region_threshold")} | {"region_weight": weight}
    return Row(
        chosen,
        tried + weights,
        report.at(head, chosen["text_threshold"], chosen["region_threshold"]),
        report.ranked(head, weight),
    )


def pooled(rows: Sequence[Row]) -> list[ImageScore]:
    """Image by image the sums over seeds, so that a set drawn from images has all seeds of each."""
    sums = []
    for images in zip(*(row.at_thresholds for row in rows), strict=True):
        total = {
            name: sum(getattr(one, name) for one in images)
            for name in ("truth_credit", "detection_credit", "num_truth", "num_detections")
        }
        sums.append(replace(images[0], **total))
    return sums


def calibration(rows: Sequence[Row]) -> list[dict[str, float]]:
    """How often words of each fifth of the scores are right, all seeds together."""
    scores = np.concatenate([one.ranked_scores for row in rows for one in row.ranked])
    hits = np.concatenate([one.ranked_hits for row in rows for one in row.ranked])
    bands = np.clip((scores * 5).astype(int), 0, 4)
    return [
        {
            "score": round(float(scores[bands == band].mean()), 3),
            "right": round(float(hits[bands == band].mean()), 3),
            "words": int((bands == band).sum()),
        }
        for band in range(5)
        if (bands == band).any()
    ]
