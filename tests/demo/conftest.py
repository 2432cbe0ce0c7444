"""A server on a free port, whose network calls everything bright text."""

from threading import Thread

import pytest

from craft.config import DetectionSettings
from craft.demo.scored_images import ScoredImages
from craft.demo.server import DemoServer
from craft.detection.detector import Detector
from tests.detection.test_detector import BrightIsText


@pytest.fixture
def server():
    settings = DetectionSettings(sizing="scale", magnify=1.0)
    detector = Detector(BrightIsText(), settings, device="cpu", precision="fp32")
    with DemoServer(ScoredImages(detector)) as running:
        thread = Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
