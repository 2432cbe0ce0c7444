"""That the region head learns: from a few fixed crops, and several heads side by side on frozen features."""

import json

import numpy as np
import pytest
import torch

from craft.config import validate_config
from craft.distributed.processes import start_processes
from craft.models.craft import CRAFT, normalise_images
from craft.models.region_head import RegionArchitecture, RegionHead, region_path
from craft.models.weights import build_model, read_weights
from craft.ohem.region import sample_rois
from craft.region.loss import head_loss, roi_losses
from craft.region.pass_times import PassTimes
from craft.region.proposals import with_labels
from craft.region.roi_labels import WordBoxes
from craft.region.static_proposals import grid_boxes, jittered_boxes
from craft.training.frozen_heads import HeadVariant, train_heads
from craft.training.loop import train

SIZE = 128
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def crops():
    """Features of three crops with striped words, and their RoIs: jittered words and a grid."""
    generator = np.random.default_rng(0)
    images = generator.integers(90, 130, (3, SIZE, SIZE, 3)).astype(np.uint8)
    rois = []
    for index, image in enumerate(images):
        words = []
        for top in (12, 52, 92):
            left, width = int(generator.integers(4, 40)), int(generator.integers(40, 80))
            image[top : top + 18, left : left + width : 4] = 250
            words.append([left, top, left + width, top + 18])
        boxes = np.concatenate(
            [
                jittered_boxes(words, count=60, seed=index, size_hw=(SIZE, SIZE)),
                grid_boxes(count=240, seed=index, size_hw=(SIZE, SIZE)),
            ]
        )
        labelled = WordBoxes(torch.tensor(words, dtype=torch.float32), torch.zeros(0, 4))
        rois.append(with_labels(torch.from_numpy(boxes), labelled, torch.zeros(len(boxes), dtype=torch.int64)))
    network = CRAFT(0.0625, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        _maps, levels = network.forward_levels(normalise_images(torch.from_numpy(images).permute(0, 3, 1, 2)))
    return {"decoder2": levels["decoder2"]}, rois


def judge_all(head, crops):
    """The mean loss over all RoIs, and how often a text RoI has better odds than a background one."""
    levels, rois = crops
    with torch.no_grad():
        odds, corrections = head(levels, [image.boxes_xyxy for image in rois])
        loss = roi_losses(odds, corrections, rois).mean().item()
    foreground = torch.cat([image.labels.foreground for image in rois])
    better = (odds[foreground][:, None] > odds[~foreground][None]).float().mean().item()
    return loss, better


@pytest.mark.parametrize("sampler", ["heuristic", "ohem", "ohem-zeroed", "all"])
def test_mean_loss_over_all_rois_of_a_few_crops_falls_far_and_text_stands_apart(crops, sampler):
    levels, rois = crops
    head = RegionHead(RegionArchitecture(hidden=64), width=0.0625, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    before, _ = judge_all(head, crops)

    for step in range(60):
        numbers = {"count": 64, "background_low": 0.0, "nms_iou": 0.7, "times": PassTimes(CPU)}
        seeds = torch.arange(3) + 3 * step
        found = head_loss(head, levels, rois, seeds, sampler=sampler, **numbers)
        optimizer.zero_grad()
        found.loss.backward()
        optimizer.step()

    after, better = judge_all(head, crops)
    assert after < 0.45 * before
    assert better > 0.95


def log_lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def heads_config(tiny_values, tmp_path, **region):
    tiny_values["training"]["steps"] = 1
    train(validate_config(tiny_values, where="test"), tmp_path / "maps")
    tiny_values["training"].update(steps=4, log_every=2)
    small = {"pool": [2, 2], "hidden": 8, "proposals": {"network": 30, "components": 20, "truth": 20, "grid": 40}}
    region = {"enabled": True, "train": "alone", **small, **region}
    weights = str(tmp_path / "maps" / "last.safetensors")
    return validate_config({**tiny_values, "weights": weights, "region": region}, where="test")


VARIANTS = [
    HeadVariant("heuristic", "heuristic", rois_per_image=8),
    HeadVariant("ohem", "ohem", rois_per_image=8),
    HeadVariant("ohem-1", "ohem", rois_per_image=8, images=1, rank_by="text"),
    HeadVariant("all-fast", "all", rate_factor=3.0),
    HeadVariant("bootstrap", "bootstrap", rois_per_image=8, collect_every=2, collect_crops=4),
]


def test_heads_side_by_side_share_everything_but_how_they_are_trained(tiny_values, tmp_path):
    config = heads_config(tiny_values, tmp_path)

    files = train_heads(config, VARIANTS, tmp_path / "heads", start_processes("cpu"))

    assert list(files) == [variant.name for variant in VARIANTS]
    states = {name: read_weights(file).state for name, file in files.items()}
    maps = read_weights(config.weights).state
    first = states["heuristic"]
    for name, state in states.items():
        assert region_path(build_model(read_weights(files[name]))) is not None
        for key, value in state.items():
            same_everywhere = not key.startswith("region.head.")
            if key in maps:
                assert torch.equal(value, maps[key]), key
            if name != "heuristic" and key == "region.head.first.weight":
                assert not torch.equal(value, first[key]), (name, key)
            if same_everywhere:
                assert torch.equal(value, first[key]), key
    lines = log_lines(tmp_path / "heads")
    assert {line["variant"] for line in lines if line["kind"] == "train"} == set(files)
    (collected,) = [line for line in lines if line["kind"] == "bootstrap"]
    assert (collected["variant"], collected["step"], collected["crops"]) == ("bootstrap", 2, 4)


def test_one_head_learns_the_same_whoever_learns_beside_it_and_is_not_trained_again(tiny_values, tmp_path):
    config = heads_config(tiny_values, tmp_path)
    among = train_heads(config, VARIANTS[:3], tmp_path / "among", start_processes("cpu"))
    alone = train_heads(config, VARIANTS[1:2], tmp_path / "alone", start_processes("cpu"))

    first, second = read_weights(among["ohem"]).state, read_weights(alone["ohem"]).state
    for name, value in first.items():
        assert torch.equal(value, second[name]), name

    written, lines = alone["ohem"].stat().st_mtime_ns, log_lines(tmp_path / "alone")
    (tmp_path / "alone" / "metrics.jsonl").open("a").write('{"kind": "train", "step": 2, "variant": "heuristic"}\n')
    both = train_heads(config, VARIANTS[:2], tmp_path / "alone", start_processes("cpu"))
    assert alone["ohem"].stat().st_mtime_ns == written
    assert torch.equal(
        read_weights(both["heuristic"]).state["region.head.first.weight"],
        read_weights(among["heuristic"]).state["region.head.first.weight"],
    )
    assert log_lines(tmp_path / "alone")[: len(lines)] == lines
    assert [(line["variant"], line["step"]) for line in log_lines(tmp_path / "alone")[len(lines) :]] == [
        ("heuristic", 2),
        ("heuristic", 4),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": None}, "give weights, region.enabled and train: alone"),
        ({"training": {"batch_size": 3}}, "ohem takes 2 crops a step, which does not divide a batch of 3"),
    ],
)
def test_heads_that_cannot_be_trained_so_are_refused(tiny_values, tmp_path, change, message):
    values = {**tiny_values, "weights": "maps.safetensors", "region": {"enabled": True, "train": "alone"}, **change}

    with pytest.raises(ValueError, match=message):
        train_heads(validate_config(values, where="test"), VARIANTS[1:2], tmp_path, start_processes("cpu"))


def test_mining_from_all_keeps_no_share_of_text(crops):
    """Mining has no quota: with text judged wrong it is text that is chosen."""
    _levels, rois = crops
    labels = rois[0].labels
    losses = torch.where(labels.foreground, 5.0, 0.1)

    chosen = sample_rois(
        "ohem",
        losses,
        rois[0].boxes_xyxy,
        labels.foreground,
        labels.best_iou,
        labels.counted,
        torch.tensor(0),
        count=3,
        background_low=0.0,
        nms_iou=0.3,
    )

    assert labels.foreground[chosen].all()
