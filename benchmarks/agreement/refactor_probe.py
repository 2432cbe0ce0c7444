"""One part of refactor.py, with the checkout that PYTHONPATH names: prints a JSON object of digests and numbers.

    PYTHONPATH=CHECKOUT python refactor_probe.py PART        in a folder with links `inputs`, `checkout` and perhaps `real`

Goes through the command line, configuration files and output files wherever it can. Python names are looked up in NAMES,
which lists where a name is now and where it was; fields of results are digested in their order, not by their names.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import importlib
import inspect
import io
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from safetensors import safe_open

Values = dict[str, Any]
# Fields that differ from run to run or from commit to commit, dropped wherever they occur.
DROPPED = {
    "commit", "command", "craft", "machine", "training_hours", "seconds", "seconds_waited", "processor_seconds",
    "seconds_per_step", "seconds_training", "images_per_second", "data_wait", "peak_memory_mebibytes", "peak_mebibytes",
    "region_read_only_seconds", "region_differentiated_seconds",
}  # fmt: skip
# Settings that the move removes (all pixels are made on the host) and adds (the one backbone there was, by name).
DROPPED_SETTINGS = {"on_device", "backbone"}

NAMES = {
    "draw_targets": ["craft.targets.heatmaps:draw_targets"],
    "pixel_loss": ["craft.ohem.loss:pixel_loss"],
    "sample_rois": ["craft.ohem.region:sample_rois"],
    "sample_anchors": ["craft.ohem.region:sample_anchors"],
    "word_boxes": ["craft.region.roi_labels:word_boxes", "craft.targets.rois:word_boxes"],
    "label_rois": ["craft.region.roi_labels:label_rois", "craft.targets.rois:label_rois"],
    "label_anchors": ["craft.region.roi_labels:label_anchors", "craft.targets.rois:label_anchors"],
    "jittered_boxes": [
        "craft.region.proposals:jittered_boxes",
        "craft.region.static_proposals:jittered_boxes",
        "craft.targets.proposals:jittered_boxes",
    ],
    "grid_boxes": [
        "craft.region.proposals:grid_boxes",
        "craft.region.static_proposals:grid_boxes",
        "craft.targets.proposals:grid_boxes",
    ],
    "split_map": [
        "craft.teacher.splitter:split_map",
        "craft.teacher.splitting:split_map",
        "craft.targets.splitting:split_map",
    ],
    "split_evenly": ["craft.targets.characters:split_evenly"],
    "words_from_maps": ["craft.decode.words:words_from_maps", "craft.detection.detector:words_from_maps"],
    "score_polygons": ["craft.evaluation.protocols:score_polygons", "craft.evaluation.matching:score_polygons"],
    "summarise": ["craft.evaluation.summary:summarise"],
    "preset": ["craft.synth.presets:preset", "craft.datasets.generator:preset"],
    "render_scene": ["craft.synth.render:render_scene", "craft.datasets.generator:render_scene"],
    "read_training_sets": [
        "craft.training.datasets:read_training_datasets",
        "craft.training.datasets:read_training_sets",
        "craft.training.scenes:read_training_sets",
    ],
    "build_loader": ["craft.datasets.loader:build_loader"],
    "load_config": ["craft.config:load_config"],
    "DataSettings": ["craft.config:DataSettings"],
    "AugmentSettings": ["craft.config:AugmentSettings"],
    "DetectionSettings": ["craft.config:DetectionSettings"],
    "Scene": ["craft.scene:Scene"],
    "Word": ["craft.scene:Word"],
}
# Renamed arguments, and their renamed values.
KEYWORDS: dict[str, tuple[str, dict[str, str]]] = {"form": ("painter", {"compiled": "cpu"}), "say": ("echo", {})}
BATCH = (
    "images", "character_quads_xy", "character_word", "strip_quads_xy", "strip_word", "word_image", "word_confidence",
    "seeds", "names",
)  # fmt: skip
FORMATS = ("icdar2013", "icdar2015", "icdar2017", "icdar2019", "jsonl", "synthtext", "totaltext", "shards")
PATHS = {name: f"inputs/{name}" for name in FORMATS} | {"icdar2017": "inputs/full", "jsonl": "inputs/full/scenes.jsonl"}
SAMPLE, CPU = "checkout/data/sample", torch.device("cpu")
SQUARE = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])

# Settings of short runs.
SMALL = (
    "data.crop_size=96 model.width=0.125 training.batch_size=2 training.save_every=100 optimizer.warmup_steps=2 "
    "data.train='[{path: inputs/quickstart, format: icdar2017}]' data.validation='[]' "
)
FULL = "weights=inputs/int8.safetensors model.width=0.4375 data.train='[{path: inputs/full, format: icdar2017}]' "
HEAD = "region.hidden=32 region.proposals='{network: 100, components: 50, truth: 40, grid: 100}' "
EVEN = "data.characters.source=even "
TEACHER = "data.characters.refresh=4 data.characters.delay=2 training.steps=10 "
STOPPED = {
    "plain": ("quickstart", SMALL + "training.steps=12"),
    "teacher": ("small_icdar2015_teacher", SMALL + FULL + TEACHER),
    "region": ("region", SMALL + HEAD + EVEN + "region.rois_per_image=16 weights=null training.steps=8"),
}


def find(name: str) -> Any:
    """The object of a name, from the first module that has it; arguments are taken under their old names."""
    for candidate in NAMES[name]:
        module, _, attribute = candidate.partition(":")
        with contextlib.suppress(ImportError, AttributeError):
            found = getattr(importlib.import_module(module), attribute)
            return found if isinstance(found, type) else _with_old_keywords(found)
    raise SystemExit(f"{name} is at none of {', '.join(NAMES[name])}; add its new home to NAMES")


def _with_old_keywords(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*values: Any, **named: Any) -> Any:
        for old, (new, renamed) in KEYWORDS.items():
            if old in named and new in inspect.signature(function).parameters:
                value = named.pop(old)
                named[new] = renamed.get(value, value) if isinstance(value, str) else value
        return function(*values, **named)

    return call


# Digests


def plain(value: Any) -> Iterator[bytes]:
    """Bytes of a nested value, with types and shapes: equal for equal bits only."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous()
        yield f"{value.dtype}{tuple(value.shape)}".encode()
        yield value.flatten().view(torch.uint8).numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from plain([getattr(value, field.name) for field in dataclasses.fields(value)])
    elif isinstance(value, dict):
        for key in sorted(value.keys() - DROPPED - DROPPED_SETTINGS, key=str):
            yield f"\0{key}:".encode()
            yield from plain(value[key])
    elif isinstance(value, list | tuple):
        yield f"[{len(value)}".encode()
        for item in value:
            yield from plain(item)
    else:
        yield value if isinstance(value, bytes) else f"\0{value!r}".encode()


def digest(*values: Any) -> str:
    total = hashlib.sha256()
    for piece in plain(values):
        total.update(piece)
    return total.hexdigest()[:16]


def numbers(text: str) -> str:
    """The numbers in a message, times left out."""
    return " ".join(re.findall(r"-?\d+(?:[.,]\d+)*", re.sub(r"\d+(\.\d+)? (s|seconds)\b", "", text)))


def file_digest(path: Path) -> str:
    if path.suffix == ".safetensors":
        with safe_open(str(path), "pt") as file:
            metadata = {key: _parsed(text) for key, text in (file.metadata() or {}).items()}
            return digest(metadata, {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    if path.suffix in (".pt", ".pth"):
        content = torch.load(str(path), map_location="cpu", weights_only=True)
        if isinstance(content, dict) and "config" in content:  # a checkpoint
            content |= {"config": yaml.safe_load(content["config"]), "version": None}
        return digest(content)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return digest(dict(arrays))
    if path.suffix in (".json", ".jsonl"):
        lines = [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines()
        return digest([json.loads(line) for line in lines])
    return digest(path.read_bytes())


def _parsed(text: str) -> Any:
    with contextlib.suppress(json.JSONDecodeError):
        return json.loads(text)
    return text


def files(folder: str, *patterns: str, raw: bool = False) -> Values:
    """Digest of every file under a folder, of its bytes where `raw`."""
    found = sorted({path for pattern in patterns for path in Path(folder).rglob(pattern) if path.is_file()})
    assert found, f"{folder}: no {patterns}"
    return {str(path): digest(path.read_bytes()) if raw else file_digest(path) for path in found}


def flat(prefix: str, value: Any) -> Values:
    if not isinstance(value, dict):
        return {prefix: value if isinstance(value, int | float | str | None) else digest(value)}
    kept = value.keys() - DROPPED - DROPPED_SETTINGS
    return {key: item for name in sorted(kept) for key, item in flat(f"{prefix}.{name}", value[name]).items()}


def run_values(folder: str) -> Values:
    """Every number of a run's metrics.jsonl, and digests of its weights, checkpoint and label files."""
    values: Values = {}
    for line in (Path(folder) / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        values |= flat(f"{folder} {record.pop('kind')} {record.pop('step')}", record)
    return values | files(folder, "*.safetensors", "*.pt", "labels/*.jsonl")


# Running


def craft(command: str, *, status: int = 0) -> str:
    """Run `python -m craft` in this process; what it printed."""
    printed, code = io.StringIO(), None
    sys.argv = ["craft", *shlex.split(command)]
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_module("craft", run_name="__main__")
    except SystemExit as end:
        code = end.code
    if (code or 0) != status:
        raise SystemExit(f"craft {command}: exit status {code}, wanted {status}")
    return printed.getvalue()


def train_command(config: str, out: str, settings: str) -> str:
    given = "training.device=cpu training.precision=fp32 training.log_every=1 training.pictures_every=1000000 data.workers=0 "
    options = " ".join(f"--set {shlex.quote(setting)}" for setting in shlex.split(given + settings))
    return f"train checkout/configs/{config}.yaml --out {out} {options}"


def train(config: str, out: str, settings: str, *, resume: bool = False, status: int = 0) -> Values:
    craft(train_command(config, out, settings) + " --resume" * resume, status=status)
    return run_values(out)


def stop_in_step(step: int) -> None:
    """Send this process a SIGTERM in a step of the training that comes next."""
    clip, calls = torch.nn.utils.clip_grad_norm_, iter(range(1, step + 1))

    def clip_and_stop(*values: Any, **named: Any) -> Any:
        if next(calls, None) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return clip(*values, **named)

    torch.nn.utils.clip_grad_norm_ = clip_and_stop


# Inputs of all parts, written by the old checkout


def inputs() -> Values:
    link = Path("inputs")
    link.symlink_to(".")  # the same relative paths as in the parts
    craft("synth --preset quickstart --count 48 --seed 1 --out quickstart")
    craft("synth --preset full --count 10 --seed 5 --out full")
    write_formats()
    craft("pack inputs/full --out shards --shard-size 400K")
    craft("label inputs/full --format icdar2017 --weights small --out labels.jsonl --device cpu")
    craft("convert small int8.safetensors --to int8")
    craft("convert small original.pth")
    craft(f"detect {SAMPLE} --format icdar --out found --device cpu")
    for name, (config, settings) in STOPPED.items():
        stop_in_step(5)
        train(config, f"stopped_{name}", settings, status=143)
    config, settings = STOPPED["region"]
    train(config, "with_head", settings)
    link.unlink()
    Path("checkout").unlink()
    return {}


def write_formats() -> None:
    """Write the scenes of `full` in the other formats, and in one with errors, without craft."""
    from scipy.io import savemat

    layouts = {
        "icdar2013": ("Challenge2_Training_Task12_Images", "Challenge2_Training_Task1_GT/gt_"),
        "icdar2015": ("ch4_training_images", "ch4_training_localization_transcription_gt/gt_"),
        "icdar2019": ("ImagesPart1", "train_gt_t13/"),
        "totaltext": ("Images/Train", "Groundtruth/Polygon/Train/poly_gt_"),
        "broken": ("ch4_training_images", "ch4_training_localization_transcription_gt/gt_"),
        "synthtext": ("1", "unused/"),
    }
    table: dict[str, list[Any]] = {"imnames": [], "wordBB": [], "charBB": [], "txt": []}
    for number, line in enumerate(Path("full/scenes.jsonl").read_text().splitlines(), 1):
        scene, boxes, characters, texts = json.loads(line), [], [], []
        lines: dict[str, list[str]] = {name: [] for name in layouts}
        for word in scene["words"]:
            outline = np.array(word.get("quad") or word["polygon"], np.float32)
            care = not word.get("dont_care") and bool(word.get("text"))
            text = word["text"] if care else "###"
            quad = np.rint(cv2.boxPoints(cv2.minAreaRect(outline)) if len(outline) > 4 else outline).astype(int)
            box, corners = (*quad.min(axis=0), *(quad.max(axis=0) + 1)), ",".join(map(str, quad.ravel()))
            x, y = (" ".join(map(str, column)) for column in np.rint(outline).astype(int).T)
            lines["icdar2013"].append(f'{",".join(map(str, box))},"{text}"')
            lines["icdar2015"].append(f"{corners},{text}")
            lines["icdar2019"].append(f"{corners},{word.get('script') or 'None'},{text}")
            lines["totaltext"].append(
                f"x: [[{x}]], y: [[{y}]], ornt: [u'c'], transcriptions: [u'{text if care else '#'}']"
            )
            if care and len(word.get("characters", ())) == len(text) and not re.search(r"\s", text):
                boxes.append(quad)
                characters += word["characters"]
                texts.append(text)
        bad = ["1,2,3,4,5", "a,b,c,d,e,f,g,h,word", "1,1,1,1,1,1,1,1,flat"]
        lines["broken"] = lines["icdar2015"] + bad * (number < 4)
        for name, (images, labels) in layouts.items():
            label = Path(name, f"{labels}img_{number}.txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("\n".join(lines[name]) + "\n")
            Path(name, images).mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("full", scene["image"]), Path(name, images, f"img_{number}.jpg"))
        if texts:
            table["imnames"].append(f"1/img_{number}.jpg")
            table["wordBB"].append(np.array(boxes, np.float32).transpose(2, 1, 0))
            table["charBB"].append(np.array(characters, np.float32).transpose(2, 1, 0))
            table["txt"].append(np.array(texts))
    cells = {key: np.empty((1, len(column)), dtype=object) for key, column in table.items()}
    for key, column in table.items():
        cells[key][0, :] = column
    savemat("synthtext/gt.mat", cells)
    Path("broken/ch4_training_images/img_5.jpg").write_bytes(b"no picture")
    Path("broken/ch4_training_localization_transcription_gt/gt_img_6.txt").unlink()


# Parts on Python names


def configs() -> Values:
    values: Values = {}
    for path in sorted(Path("checkout/configs").glob("*.yaml")):
        if not path.name.startswith("compare") or path.stem.endswith("base"):  # the others are studies
            values |= flat(path.stem, find("load_config")(path).model_dump(mode="json"))
    return values


def random_words(generator: np.random.Generator, count: int, side: int) -> Values:
    """Words of a batch of 3 images, some reaching outside, some crossing themselves, some don't care."""
    size = generator.uniform(4, 90, (count, 1, 2)) * (1, 0.5)
    strips = generator.uniform(-30, side, (count, 1, 2)) + SQUARE * size + generator.normal(0, 3, (count, 4, 2))
    letters = generator.integers(0, 7, count)
    word = np.repeat(np.arange(count), letters)
    place = np.arange(len(word)) - np.repeat(np.cumsum(letters) - letters, letters)
    ends = (place[:, None] + (0, 1, 1, 0)) / np.maximum(letters[word], 1)[:, None]
    upper = strips[word, :1] + ends[..., None] * (strips[word, 1:2] - strips[word, :1])
    characters = upper + SQUARE[:, 1:] * (strips[word, 3:] - strips[word, :1])
    confidence = generator.choice([0, 0.5, 0.7, 1.0], count).astype(np.float32)
    cared = confidence[word] > 0
    return {
        "character_quads_xy": characters[cared].astype(np.float32),
        "character_word": word[cared],
        "strip_quads_xy": strips.astype(np.float32),
        "strip_word": np.arange(count),
        "word_image": np.sort(generator.integers(0, 3, count)),
        "word_confidence": confidence,
    }


def draw_maps(words: Values, size_hw: tuple[int, int], form: str) -> Any:
    return find("draw_targets")(*words.values(), batch_size=3, map_size_hw=size_hw, device="cpu", form=form)


def targets() -> Values:
    values: Values = {}
    for case in range(12):
        words = random_words(np.random.default_rng(case), 8 * case, 256)
        for form in ("compiled", "torch"):
            values[f"{form} case {case}"] = digest(draw_maps(words, (128, 112), form))
    return values


def loss() -> Values:
    values: Values = {}
    for case, count in enumerate((0, 6, 30, 60)):
        generator = np.random.default_rng(case)
        drawn = draw_maps(random_words(generator, count, 192), (96, 96), "compiled")
        noise = torch.from_numpy(generator.normal(0, 0.3, drawn.maps.shape).astype(np.float32))
        noise = (4 * noise).round() / 4 if case == 2 else noise  # ties
        for rule in ("hardest", "random", "all", "none"):
            for scope, (ratio, least) in [
                (s, r) for s in ("image", "batch") for r in ((3.0, 16), (0.3, 0), (1.0, 512))
            ]:
                scores = (drawn.maps * 0.5 + noise).requires_grad_()
                numbers_kept = {"rule": rule, "ratio": ratio, "min_negatives": least, "scope": scope}
                found = find("pixel_loss")(scores, drawn.maps, drawn.confidence, torch.arange(3) + 7, **numbers_kept)
                found.loss.backward()
                where = f"{rule} {scope} {ratio} case {case}"
                values |= {where: float(found.loss.detach()), f"{where} gradient": digest(found, scores.grad)}
    return values


def rois() -> Values:
    values: Values = {}
    for case in range(12):
        generator, size = np.random.default_rng(case), {"size_hw": (256, 256)}
        words = random_words(generator, 5 * case, 256)
        word_arrays = [words[name] for name in ("strip_quads_xy", "strip_word", "word_image", "word_confidence")]
        for image, own in enumerate(find("word_boxes")(*word_arrays, batch_size=3, device=CPU, **size)):
            where = f"case {case} image {image}"
            cared = getattr(own, dataclasses.fields(own)[0].name).numpy()
            jittered = find("jittered_boxes")(cared, count=50, seed=case, **size)
            proposals = torch.from_numpy(np.concatenate([jittered, find("grid_boxes")(count=150, seed=case, **size)]))
            labels = find("label_rois")(proposals, own), find("label_anchors")(proposals, own)
            values[f"{where} labels"] = digest(own, proposals, labels)
            chance = torch.from_numpy(generator.random((4, len(proposals)), dtype=np.float32))
            foreground, counted, losses = chance[0] < 0.3, chance[1] < 0.9, (chance[2] * 20).round() / 20  # ties
            drawn = (losses, proposals, foreground, chance[3], counted, torch.tensor(case))
            for sampler in ("heuristic", "all", "ohem", "ohem-zeroed", "bootstrap"):
                chosen = find("sample_rois")(sampler, *drawn, count=32, background_low=0.1, nms_iou=0.7)
                values[f"{where} {sampler}"] = digest(chosen)
            values[f"{where} anchors"] = digest(find("sample_anchors")(foreground, ~foreground, drawn[-1], count=32))
    return values


def blobs(generator: np.random.Generator, size_hw: tuple[int, int], centres: np.ndarray, spread: float) -> np.ndarray:
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    distance = (x - centres[:, 0, None, None]) ** 2 + (y - centres[:, 1, None, None]) ** 2
    total = np.exp(-distance / (2 * spread**2)).max(axis=0, initial=0)
    return np.clip(total + generator.normal(0, 0.02, total.shape), 0, 1).astype(np.float32)


def split() -> Values:
    values: Values = {}
    for case in range(120):
        generator = np.random.default_rng(case)
        length = int(generator.integers(1, 14))
        x, width = 12 + 12 * np.arange(length) + generator.normal(0, 2, length), 16 + 12 * length
        levels = blobs(generator, (32, width), np.stack([x, np.full(length, 16.0)], axis=1), generator.uniform(2, 4))
        asked = max(1, length + int(generator.integers(-1, 2)))
        for splitter in ("cuts", "length", "watershed"):
            box = (5.5, 6.0, width - 8.0, 26.5)
            found = find("split_map")((255 * levels).astype(np.uint8), box, asked, splitter=splitter)
            values[f"{splitter} {case}"] = digest(found)
        x = np.linspace(0, 100, 2 + case % 4)
        upper, lower = (
            np.stack([x, 20 * np.sin(x / 40)], axis=1),
            np.stack([x, 20 * np.sin(x / 40) + 15 + case % 60], axis=1),
        )
        outline = np.concatenate([upper, lower[::-1]]) + generator.normal(0, 1, (2 * len(x), 2))
        text = "".join(generator.choice(list("abc e\u0301\u0939\u093f \u4e2d\u6587"), 6))
        values[f"evenly {case}"] = digest(find("split_evenly")(outline, text))
    return values


def decode() -> Values:
    values: Values = {}
    for case in range(60):
        generator = np.random.default_rng(case)
        height, width = (int(size) for size in generator.integers(40, 240, 2))
        centres = generator.uniform(0, 1, (int(generator.integers(0, 40)), 2)) * (width, height)
        region = blobs(generator, (height, width), centres, 4.0)
        affinity = blobs(generator, (height, width), 0.5 * (centres[1:] + centres[:-1]), 3.0)
        for rule, low, link, side in (("corner", 0.4, 0.4, 0), ("centre", 0.2, 0.3, 6), ("centre", 0.05, 0.9, 0)):
            chosen = {"pixel_rule": rule, "low_text": low, "link_threshold": link, "least_side": side}
            wanted = {"settings": find("DetectionSettings")(**chosen), "polygons": True, "characters": True}
            found = find("words_from_maps")(region, affinity, np.array([0.7, 0.8]), **wanted)
            values[f"case {case} {rule} {low}"] = f"{len(found.quads_xy)} words {digest(found)}"
    return values


def random_quad(generator: np.random.Generator, size: int) -> np.ndarray:
    sides = generator.integers(1, max(3, size // 3), 2)
    reach = 0 if generator.random() < 0.4 else max(1, int(sides.min()) // 2)
    return generator.integers(0, size, 2) + SQUARE * sides + generator.integers(-reach, reach + 1, (4, 2))


def rrc() -> Values:
    """3,000 random images as in rrc.py: halves, copies, near misses, don't care, tied scores."""
    scored: dict[str, list[Any]] = {"icdar2013": [], "icdar2015": [], "polygons": []}
    for case in range(3000):
        generator = np.random.default_rng([3, case])
        size = int(generator.choice([12, 60, 1280]))
        quads = [random_quad(generator, size) for _ in range(generator.integers(0, 7))]
        found: list[np.ndarray] = []
        for _ in range(generator.integers(0, 9)):
            kind, reach = generator.integers(0, 6), max(1, size // 40)
            quad = quads[generator.integers(len(quads))].copy() if quads and kind else random_quad(generator, size)
            if kind == 1 and found:
                quad = found[generator.integers(len(found))]
            elif kind == 2:
                quad[1], quad[2] = (quad[0] + quad[1]) // 2, (quad[3] + quad[2]) // 2
            elif kind > 2:
                quad = quad + generator.integers(-reach, reach + 1, (4, 2))
            found.append(quad)
        cared = generator.random(len(quads)) < 0.7
        marks = np.round(generator.random(len(found)), 1) if case % 2 else None
        words = [
            find("Word")(quad.astype(np.float32), "a", "", not care) for quad, care in zip(quads, cared, strict=True)
        ]
        for protocol, scores in scored.items():
            scene = find("Scene")("", tuple(words), f"img_{case}")
            scores.append(find("score_polygons")(scene, found, marks, protocol=protocol))
    values: Values = {}
    for protocol, scores in scored.items():
        values |= {f"{protocol} cases {at} to {at + 99}": digest(scores[at : at + 100]) for at in range(0, 3000, 100)}
        values[f"{protocol} summary"] = digest(find("summarise")(scores), find("summarise")(scores[1::2]))
    return values


def generator() -> Values:
    values: Values = {}
    for name, changes, count in (
        ("quickstart", {}, 16),
        ("full", {}, 10),
        ("full", {"rooms": 1.0}, 4),
        ("sample", {}, 6),
    ):
        settings = find("preset")(name, changes)
        values |= {f"{name} {changes} {i}": digest(find("render_scene")(settings, 7, i)) for i in range(count)}
    return values


def batches() -> Values:
    """Batches of every format, plain and augmented, from this process and from a loader process."""
    values: Values = {}
    entries: dict[str, Values] = {name: {"path": PATHS[name], "format": name} for name in FORMATS}
    entries["synth"] = {"format": "synth", "preset": "quickstart", "seed": 3, "count": 20}
    cases = [(name, {"train": [entry]}, 0) for name, entry in entries.items()]
    mixed = {"train": [{**entries["icdar2015"], "weight": 2}, entries["shards"], entries["synth"]]}
    labelled = {"train": [entries["icdar2017"]], "characters": {"source": "file", "files": ["inputs/labels.jsonl"]}}
    cases += [("mixed", mixed, 0), ("mixed", mixed, 1), ("labelled", labelled, 0)]
    strong = {"colour": 1, "blur": 0.7, "noise": 0.7, "jpeg": 0.7, "grey": 0.5, "flip": 0.3, "rotation": 30}
    for name, given, workers in cases:
        sets = find("read_training_sets")(find("DataSettings").model_validate(given), say=lambda _message: None)
        for title, changes in (("plain", None), ("default", {}), ("strong", strong)):
            augment = None if changes is None else find("AugmentSettings")(**changes)
            where = {"seed": 5, "batch_size": 6, "workers": workers, "start_position": 6}
            weighted = [(one.scenes, one.weight) for one in sets]
            loader = find("build_loader")(weighted, crop_size=160, augment=augment, **where)
            for index in range(3):
                batch, key = next(loader), f"{name} {title} workers {workers} batch {index}"
                values |= {f"{key} {field}": digest(getattr(batch, field)) for field in BATCH}
            del loader
    return values


# Parts on the command line


def synth() -> Values:
    for name, count in (("quickstart", 6), ("full", 4), ("sample", 3)):
        craft(f"synth --preset {name} --count {count} --seed 21 --out {name} --split validation")
    return files(".", "*.jpg", "*.txt", "*.jsonl", "*.json", raw=True)


def check() -> Values:
    values = {"sample": numbers(craft(f"check {SAMPLE} --decode"))}
    values |= {name: numbers(craft(f"check {path} --format {name}")) for name, path in PATHS.items()}
    values |= {name: numbers(craft(f"check --preset {name} --count 4 --seed 2")) for name in ("quickstart", "full")}
    return values | {"broken": numbers(craft("check inputs/broken", status=1))}


def pack() -> Values:
    craft("pack inputs/full --out shards --shard-size 300K")
    craft("pack inputs/broken --out skipped --skip-errors")
    return files(".", "*.tar", "*.npy", "*.json", raw=True)


def convert() -> Values:
    craft("convert inputs/int8.safetensors float.safetensors --set text_threshold=0.6")
    craft("convert inputs/int8.safetensors int8.safetensors --to int8 --note 'as a test'")
    craft("convert inputs/int8.safetensors back.safetensors")
    craft("convert inputs/int8.safetensors original.pth")
    craft("convert inputs/original.pth from_original.safetensors")
    craft("convert inputs/stopped_plain/last.pt checkpoint.safetensors")
    craft("convert inputs/with_head/last.safetensors head.safetensors")
    return files(".", "*.safetensors", "*.pth")


def label() -> Values:
    said = {}
    for splitter in ("cuts", "length", "watershed"):
        options = f"--weights inputs/int8.safetensors --out {splitter}.jsonl --splitter {splitter} --device cpu"
        said[splitter] = numbers(craft(f"label inputs/full --format icdar2017 {options}"))
    craft(
        "label inputs/icdar2015 --weights inputs/int8.safetensors --out 96.jsonl --height 96 --numbers 1 4 --device cpu"
    )
    return said | files(".", "*.jsonl")


def detect() -> Values:
    """Result files byte for byte, of weights in every format."""
    images = f"'{SAMPLE}/ch8_training_images_1/img_[1-4].jpg'"
    craft(f"detect {images} --format icdar --out words --device cpu")
    for format in ("json", "icdar", "csv"):
        craft(f"detect {images} --format {format} --out {format} --polygons --characters --device cpu")
    for name in ("int8.safetensors", "original.pth", "with_head/last.safetensors", "stopped_plain/last.pt"):
        images = "'inputs/quickstart/ch8_training_images_1/img_[1-4].jpg'"
        options = f"--out {name.replace('/', '_')} --format json --device cpu --set text_threshold=0.3"
        craft(f"detect {images} --weights inputs/{name} {options}")
    tiled = "--set tile=640 --set sizing=scale --set magnify=2.5"
    craft(f"detect {SAMPLE}/ch8_training_images_1/img_5.jpg --out tiles --format json --device cpu {tiled}")
    return files(".", "*.json", "*.txt", "*.csv", raw=True)


def boxes() -> Values:
    """What the weights that the old checkout ships finds in 20 real images, all bits."""
    detector, values = (
        importlib.import_module("craft").Detector.from_weights("inputs/int8.safetensors", device="cpu"),
        {},
    )
    for number in range(901, 921):
        found = detector.detect(f"real/ch4_training_images/img_{number}.jpg", polygons=True, characters=True)
        for name in ("quads_xy", "scores", "polygons_xy", "character_quads_xy"):
            values[f"img_{number} {name}"] = f"{len(getattr(found, name))} {digest(getattr(found, name))}"
    return values


def evaluate() -> Values:
    values: Values = {}
    scene_files = f"evaluate --detections inputs/found --truth {SAMPLE}"
    for protocol in ("icdar2013", "icdar2015", "icdar2017", "icdar2019", "polygons"):
        form = "jsonl" if protocol == "polygons" else "icdar2017"
        options = f"--protocol {protocol} --format {form} --per-image {protocol}.json"
        values |= flat(protocol, json.loads(craft(f"{scene_files} {options} --json")))
    return values | {"text": numbers(craft(f"{scene_files} --protocol icdar2017"))} | files(".", "*.json")


def sweep() -> Values:
    grid = "--grid text_threshold=0.6,0.7,0.8 --grid low_text=0.3,0.4 --grid link_threshold=0.3,0.5"
    scenes = f"--truth {SAMPLE} --numbers 1 4 --protocol icdar2017 --device cpu --workers 1"
    return flat(
        "sweep", json.loads(craft(f"evaluate --sweep --weights inputs/int8.safetensors --json {scenes} {grid}"))
    )


def images() -> Values:
    """Images for people; captions may be reworded on purpose."""
    craft(f"show {SAMPLE} --count 3 --out show")
    craft("show inputs/full --count 3 --augmented --seed 2 --out augmented")
    craft("show inputs/full --format icdar2017 --count 2 --characters inputs/labels.jsonl --out label")
    craft("synth --preset full --count 3 --sheet sheet.png")
    shown = f"'{SAMPLE}/ch8_training_images_1/img_[1-3].jpg'"
    craft(f"detect {shown} --draw --polygons --format json --out drawn --device cpu")
    truth = f"--truth {SAMPLE} --protocol icdar2017"
    craft(f"evaluate --detections inputs/found {truth} --failures failures.png --worst 3")
    train("region", "run", SMALL + HEAD + EVEN + "weights=null training.steps=1 training.pictures_every=1")
    return files(".", "*.png", "*.jpg")


def quickstart() -> Values:
    """The first 40 steps of the quickstart."""
    return train("quickstart", "run", "training.steps=40 training.save_every=40 data.train.0.path=inputs/quickstart")


def variants() -> Values:
    """Settings that the other runs leave at their defaults."""
    sets = "[{path: inputs/full, weight: 2}, {format: synth, preset: quickstart, seed: 4}]"
    validation = "[{format: synth, preset: quickstart, seed: 6, count: 3}]"
    rules = (
        f"data.train='{sets}' data.validation='{validation}' training.steps=4 training.validate_every=2 "
        "training.snapshots='[2]' ohem.rule=random ohem.final_ratio=6 ohem.scope=batch optimizer.accumulate=2 "
        "optimizer.decay=step optimizer.step_every=2 model.gradient_checkpointing=true"
    )
    started = (
        "weights=inputs/int8.safetensors freeze='[basenet.slice1]' model.freeze_batch_norm=true training.steps=3 "
        "data.characters='{source: file, files: [inputs/labels.jsonl], weights: inputs/int8.safetensors}' training.precision=bf16 ohem.rule=none"
    )
    return train("quickstart", "rules", SMALL + rules) | train("quickstart", "started", SMALL + FULL + started)


def region() -> Values:
    """A joint run of maps and region head."""
    settings = (
        "weights=null region.rois_per_image=16 data.crop_size=128 training.batch_size=4 training.steps=20 "
        "data.validation='[{path: inputs/quickstart, format: icdar2017, numbers: [1, 2]}]' training.validate_every=20"
    )
    return train("region", "run", SMALL + HEAD + EVEN + settings)


def samplers() -> Values:
    """Every sampler, the head alone on the features of the weights that the old checkout ships."""
    values: Values = {}
    for sampler, settings in {
        "all": "",
        "heuristic": "region.rois_per_image=16",
        "ohem": "region.rois_per_image=16 region.rank_by=text region.levels='[decoder4, vgg8]'",
        "ohem-zeroed": "region.rois_per_image=16",
        "bootstrap": "region.rois_per_image=16 region.bootstrap_every=2 region.bootstrap_crops=8",
    }.items():
        head = f"region.train=alone region.sampler={sampler} training.steps=4 {settings}"
        values |= train("region", sampler, SMALL + FULL + HEAD + EVEN + head)
    return values


def teacher() -> Values:
    """A run whose characters are labelled anew on the way."""
    sets = "{path: inputs/full, format: icdar2017, weight: 5}, {format: synth, preset: full, seed: 8, count: 50}"
    return train("small_icdar2015_teacher", "run", SMALL + FULL + TEACHER + f"data.train='[{sets}]'")


def resume() -> Values:
    """Runs that the old checkout began and stopped, taken to their end."""
    values: Values = {}
    for name, (config, settings) in STOPPED.items():
        shutil.copytree(f"inputs/stopped_{name}", f"stopped_{name}")
        values |= train(config, f"stopped_{name}", settings, resume=True)
    return values


def distributed() -> Values:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "craft"]
    command = launch + shlex.split(train_command("quickstart", "run", SMALL + "training.steps=4"))
    subprocess.run(command, check=True, stdout=sys.stderr)
    return run_values("run")


STUDY = """
{name: tiny, title: Tiny, base: checkout/configs/compare_base.yaml, reference: hardest, seeds: [1, 2], budget: {steps: 6},
 variants: {hardest: {ohem: {rule: hardest}}, random: {ohem: {rule: random}},
            head: {region: {enabled: true, hidden: 16, rois_per_image: 8}}},
 synth: {scenes: {preset: quickstart, count: 12, seed: 11}}, train: [{path: "synth:scenes"}],
 splits: {synthetic: {choose: [{path: "synth:scenes", numbers: [1, 2]}], report: [{path: "synth:scenes", numbers: [3, 5]}],
                      without_text: [{path: "synth:scenes", numbers: [6, 6]}]}},
 thresholds: {text: [0.01, 0.3], low: [0.005, 0.2], link: [0.3], region: [0, 0.2]}, threads: 1, view: {scenes: 1},
 curve: {sets: [{path: "synth:scenes", numbers: [1, 2]}], points: 2}, probe_crops: 4}
"""


def study() -> Values:
    """A study of three variants and two seeds: its tables, and what every run kept and scored."""
    Path("study.yaml").write_text(STUDY)
    craft("compare study.yaml --out out --executor inline")
    values: Values = {}
    for path in sorted(Path("out").glob("*.csv")):
        for number, row in enumerate(csv.DictReader(path.read_text().splitlines())):
            values |= flat(f"{path} row {number}", row)
    for folder in sorted(Path("out/runs").glob("*/*")):
        values |= run_values(str(folder)) | files(str(folder), "scores.npz", "probe.json")
    return values


if __name__ == "__main__":
    source = Path(importlib.import_module("craft").__file__ or "")
    assert source.is_relative_to(os.environ["PYTHONPATH"]), f"craft is imported from {source}"
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with contextlib.redirect_stdout(sys.stderr):
        result = globals()[sys.argv[1]]()
    print(json.dumps(result))
