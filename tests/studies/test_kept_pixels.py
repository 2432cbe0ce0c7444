"""What is said about the pixels that a run keeps, against the same numbers taken pixel by pixel."""

import cv2
import numpy as np
import pytest
import torch

from craft.config import validate_config
from craft.datasets.reading import WeightedScenes
from craft.models.craft import CRAFT
from craft.models.weights import save_safetensors
from craft.scene import Scene, Word
from craft.studies.kept_pixels import examine_snapshots, load_crops, load_snapshot
from craft.studies.pixel_locations import LOCATIONS
from craft.training.step import forward_maps, maps_loss


@pytest.fixture
def datasets(tmp_path):
    """Two scenes on a plain ground: a word half trusted, and one not cared for."""
    scenes = []
    for number in range(2):
        quad = np.array([[8, 8], [40, 8], [40, 24], [8, 24]], np.float32) + 4 * number
        halves = np.stack([quad - [[0, 0], [16, 0], [16, 0], [0, 0]], np.add(quad, [[16, 0], [0, 0], [0, 0], [16, 0]])])
        words = (
            Word(quad, "ab", character_quads_xy=halves.astype(np.float32), confidence=0.5),
            Word(np.add(quad, (0, 28)), dont_care=True),
        )
        path = tmp_path / f"img_{number}.png"
        cv2.imwrite(str(path), np.full((64, 64, 3), 60 + 90 * number, np.uint8))
        scenes.append(Scene(str(path), words, f"img_{number}"))
    return [WeightedScenes(scenes, 1.0)]


def test_shares_and_counts_are_those_of_the_snapshots_maps(tiny_values, datasets, tmp_path):
    tiny_values["ohem"] = {"rule": "hardest", "ratio": 1.0, "final_ratio": 4.0, "min_negatives": 0}
    tiny_values["training"]["steps"] = 2
    config = validate_config(tiny_values, where="test")
    model = CRAFT(0.0625, generator=torch.Generator().manual_seed(0))
    (tmp_path / "snapshots").mkdir()
    for step in (1, 2):
        save_safetensors(model, tmp_path / "snapshots" / f"step_{step}.safetensors", {"width": 0.0625})
    (crops,) = load_crops(datasets, config, count=2)

    examined = examine_snapshots(tmp_path, config, [crops], steps=[1, 2])

    device = torch.device("cpu")
    maps, confidence = crops.targets.maps.numpy(), crops.targets.confidence.numpy()
    for step, snapshot in enumerate(examined["snapshots"], 1):
        with torch.no_grad():
            scores, _ = forward_maps(load_snapshot(tmp_path, step, device), crops.batch, config, device)
            loss = maps_loss(scores, crops.batch, crops.targets, config, step=step - 1)
        assert snapshot["region"]["kept_negatives"] == pytest.approx(loss.kept_negatives[:, 0].float().mean().item())
        pull = loss.weights.numpy() * confidence * np.abs(scores.numpy() - maps)
        text = maps > 0.1
        for index, name in enumerate(("region", "affinity")):
            share = pull[:, index][text[:, index]].sum() / pull[:, index].sum()
            assert snapshot[name]["positive_gradient"] == pytest.approx(share, rel=1e-4)
            background = (confidence[:, index] > 0) & ~text[:, index]
            counts = np.bincount(crops.locations[background], minlength=len(LOCATIONS))
            np.testing.assert_allclose(snapshot[name]["background_shares"], counts / counts.sum(), atol=1e-6)
    assert (confidence == 0).any()
    assert ((confidence > 0) & (confidence < 1)).any()
