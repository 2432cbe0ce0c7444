"""What travels to a GPU machine and back arrives whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from craft.models.weights import save_safetensors
from tests.networks import lively_network

TOOL = Path(__file__).parents[2] / "tools" / "gpu_drill.py"


def drill(*arguments):
    done = subprocess.run([sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def scenes(tmp_path):
    (tmp_path / "images").mkdir()
    lines = []
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 255, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((120, 80)).save(tmp_path / "images" / f"img_{number}.jpg")
        words = [{"quad": [[1, 1], [9, 1], [9, 5], [1, 5]], "text": "ab"}]
        lines.append(json.dumps({"image": f"images/img_{number}.jpg", "words": words}))
    (tmp_path / "scenes.jsonl").write_text("\n".join([json.dumps({"note": "x"}), *lines]), encoding="utf-8")
    return tmp_path / "scenes.jsonl"


@pytest.mark.slow
def test_scenes_travel_in_parts_of_a_limited_size(scenes, tmp_path):
    parts, data = tmp_path / "parts", tmp_path / "data"

    drill("pack", parts, "--train", scenes, "--most", "5", "--part-size", "0.03")
    drill("unpack", parts, data)
    again = drill("unpack", parts, data)

    tars = sorted(parts.glob("*/part.tar"))
    assert len(tars) > 1
    assert all(tar.stat().st_size <= 0.03 * 2**20 for tar in tars)
    (listing,) = data.glob("train/*/scenes.jsonl")
    records = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines()]
    assert [record["name"] for record in records] == [f"img_{number}" for number in range(5)]
    assert records[0]["words"][0]["text"] == "ab"
    assert Image.open(listing.parent / records[4]["image"]).size == (120, 80)
    assert "0 images" in again


@pytest.mark.slow
def test_weights_come_back_in_half_precision(tmp_path):
    model = lively_network(seed=3)
    save_safetensors(model, tmp_path / "own.safetensors", {"width": model.width})

    sent = drill("split", tmp_path / "own.safetensors", tmp_path / "back", "small")
    came = drill("join", tmp_path / "back" / "small.safetensors.part0", tmp_path / "joined.safetensors")

    assert sent.split()[-1] == came.split()[-1]
    joined, own = load_file(tmp_path / "joined.safetensors"), model.state_dict()
    assert joined.keys() == own.keys()
    for name, value in own.items():
        assert torch.equal(joined[name].to(value.dtype), value.to(joined[name].dtype).to(value.dtype)), name
