"""Labels against a network: words that it does not see, and text that it sees where nothing is labelled."""

from collections.abc import Sequence

from tqdm import tqdm

from craft.datasets.scene_source import read_scene_image
from craft.datasets.suspicious import Suspect
from craft.detection.detector import Detector
from craft.errors import Problem
from craft.evaluation.protocols import score_scene
from craft.scene import Scene

_SURE = 0.6  # lowest score of text that is said not to be labelled


def audit_labels(scenes: Sequence[Scene], detector: Detector, *, progress: bool = False) -> list[Suspect]:
    """Detect text in every scene and name what does not go with the labels (IoU protocol); unreadable images are left out.

    Sure detections that match no word come first, those that the network is surest of in front, then the words.
    """
    unlabelled: list[tuple[float, Suspect]] = []
    unseen: list[Suspect] = []
    for scene in tqdm(scenes, desc="check", disable=not progress):
        try:
            found = detector.detect(read_scene_image(scene))
        except Problem:
            continue
        score = score_scene(scene, found.quads_xy, found.scores, protocol="icdar2015")
        matched = {index for match in score.matches for index in match.detections}
        seen = {index for match in score.matches for index in match.truth}
        for index, quad in enumerate(found.quads_xy):
            if index not in matched and index not in score.ignored_detections and found.scores[index] >= _SURE:
                suspect = Suspect(scene, quad, "text that is not labelled, or not as one word", "", scene.image_path)
                unlabelled.append((float(found.scores[index]), suspect))
        for index, word in enumerate(scene.words):
            if not word.dont_care and index not in seen:
                unseen.append(
                    Suspect(scene, word.polygon_xy, "word that the network does not see", word.text or "", word.source)
                )
    unlabelled.sort(key=lambda item: -item[0])
    return [suspect for _, suspect in unlabelled] + unseen
