"""Validation: which protocol scores, and which scenes each process takes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from craft.config import DetectionSettings
from craft.distributed.processes import Processes
from craft.scene import Scene, Word
from craft.training import validation
from craft.training.validation import validate


@pytest.fixture
def scenes():
    quad = np.array([[10, 10], [70, 10], [70, 30], [10, 30]], np.float32)
    return [Scene("", (Word(quad, "word"),), f"img_{number}", np.zeros((40, 80, 3), np.uint8)) for number in range(3)]


def test_words_in_two_parts_are_not_found_as_by_the_iou_protocol(scenes, monkeypatch):
    halves = np.array([[[10, 10], [40, 10], [40, 30], [10, 30]], [[40, 10], [70, 10], [70, 30], [40, 30]]], np.float32)
    found = SimpleNamespace(quads_xy=halves, scores=np.array([0.9, 0.8], np.float32))
    monkeypatch.setattr(validation, "Detector", lambda *_arguments, **_names: SimpleNamespace(detect=lambda _: found))

    scores = validate(nn.Identity(), scenes, DetectionSettings(), processes=Processes(0, 1, torch.device("cpu")))

    assert (scores.recall, scores.num_detections, scores.num_truth) == (0, 6, 3)
