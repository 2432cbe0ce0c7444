"""Words scored a second time by the region head."""

import numpy as np
import pytest
import torch

from craft.config import DetectionSettings
from craft.decode.detections import Detections
from craft.detection.detector import Detector
from craft.models.craft import CRAFT
from craft.models.region_head import RegionArchitecture, RegionHead, add_region_path
from craft.models.weights import save_safetensors
from craft.region.rescoring import rescore_words

SIZE_HW = (80, 120)
SCALE = np.array([1.0, 1.0])


@pytest.fixture
def head():
    """A head that takes the left half of a 120 x 80 image for text, the right half not, and moves boxes to the right."""
    head = RegionHead(
        RegionArchitecture(pool_hw=(1, 1), hidden=2), {"decoder2": 1}, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        for layer in (head.first, head.second):
            layer.weight.copy_(torch.eye(2)[: layer.weight.shape[0], : layer.weight.shape[1]])
            layer.bias.zero_()
        head.text.weight.copy_(torch.tensor([[8.0, 0.0]]))
        head.text.bias.fill_(-4.0)  # log odds 4 where the feature is 1, -4 where it is 0
        head.correction.weight.zero_()
        head.correction.bias.copy_(torch.tensor([1.0, 0, 0, 0]))  # a tenth of the width
    return head


@pytest.fixture
def levels():
    features = torch.zeros(1, 1, 40, 60)
    features[..., :30] = 1.0
    return {"decoder2": features}


def axis_aligned(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


@pytest.fixture
def found():
    slanted = [[20, 40], [50, 50], [46, 60], [16, 50]]
    quads = np.array([axis_aligned(10, 10, 40, 20), axis_aligned(80, 10, 110, 20), slanted], dtype=np.float32)
    return Detections(quads, np.array([0.9, 0.8, 0.7], dtype=np.float32), polygons_xy=[quads[0], quads[1], quads[2]])


def rescore(head, levels, found, **settings):
    return rescore_words(head, levels, found, SCALE, size_hw=SIZE_HW, settings=DetectionSettings(**settings))


def test_words_under_the_threshold_are_dropped_with_their_polygons(head, levels, found):
    kept = rescore(head, levels, found, region_threshold=0.5)

    np.testing.assert_array_equal(kept.quads_xy, found.quads_xy[[0, 2]])
    assert len(kept.scores) == len(kept.polygons_xy) == 2
    assert kept.character_quads_xy == []


def test_scores_are_a_weighted_geometric_mean(head, levels, found):
    text = torch.tensor([4.0, -4.0, 4.0]).sigmoid().numpy()
    for weight in (0.0, 0.5, 1.0):
        kept = rescore(head, levels, found, region_threshold=0, region_weight=weight)

        np.testing.assert_allclose(kept.scores, found.scores ** (1 - weight) * text**weight, rtol=1e-5)


def test_only_axis_aligned_words_take_the_refined_box(head, levels, found):
    refined = rescore(head, levels, found, region_threshold=0, region_refine=True)

    np.testing.assert_allclose(refined.quads_xy[0], axis_aligned(13, 10, 43, 20), atol=1e-4)
    np.testing.assert_array_equal(refined.quads_xy[2], found.quads_xy[2])
    plain = rescore(head, levels, found, region_threshold=0)
    np.testing.assert_array_equal(plain.quads_xy, found.quads_xy)


def test_boxes_are_judged_in_network_pixels_and_refined_in_source_pixels(head, levels, found):
    doubled = Detections(found.quads_xy * 2, found.scores)

    kept = rescore_words(
        head,
        levels,
        doubled,
        np.array([2.0, 2.0]),
        size_hw=(160, 240),
        settings=DetectionSettings(region_threshold=0.5, region_refine=True),
    )

    assert len(kept) == 2
    np.testing.assert_allclose(kept.quads_xy[0], axis_aligned(26, 20, 86, 40), atol=1e-4)


def test_accepts_an_image_without_words(head, levels):
    nothing = Detections(np.zeros((0, 4, 2), np.float32), np.zeros(0, np.float32))

    assert len(rescore(head, levels, nothing)) == 0


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (70, 90, 3)).astype(np.uint8)


def word_network(*, region):
    """A network whose maps are text everywhere, so that an image is one word."""
    network = CRAFT(0.0625, generator=torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        network.conv_cls[8].bias.fill_(1.0)
        network.conv_cls[8].weight.zero_()
    if region:
        add_region_path(network, RegionArchitecture(hidden=4), seed=1)
    return network


def test_detector_without_a_region_head_gives_the_words_of_the_maps(image):
    detector = Detector(word_network(region=False), DetectionSettings(sizing="scale", magnify=1.0), device="cpu")

    (score,) = detector.detect(image).scores

    assert score == 1.0


def test_detector_with_a_region_head_rescores_single_and_many_images_alike(image):
    network = word_network(region=True)
    with torch.no_grad():
        network.region.head.text.bias.fill_(2.0)
        network.region.head.text.weight.zero_()
    settings = DetectionSettings(sizing="scale", magnify=1.0, region_weight=1.0)
    detector = Detector(network, settings, device="cpu", precision="fp32")

    (score,) = detector.detect(image).scores
    many = list(detector.detect_many([image, image[:40], image]))

    assert score == pytest.approx(torch.tensor(2.0).sigmoid().item())
    for found in many:
        assert found.scores.tolist() == [score]
    dropping = Detector(network, settings.model_copy(update={"region_threshold": 0.9}), device="cpu")
    assert len(dropping.detect(image)) == 0


def test_region_settings_are_refused_for_weights_without_a_region_head(tmp_path):
    save_safetensors(word_network(region=False), tmp_path / "plain.safetensors", {"detection": {}})
    with pytest.raises(ValueError, match=r"region_threshold has no effect"):
        Detector.from_weights(tmp_path / "plain.safetensors", device="cpu", region_threshold=0.5)

    network = word_network(region=True)
    metadata = {"detection": {}, "region": network.region.architecture.as_dict()}
    save_safetensors(network, tmp_path / "region.safetensors", metadata)
    detector = Detector.from_weights(tmp_path / "region.safetensors", device="cpu", region_threshold=0.5)
    assert detector.settings.region_threshold == 0.5


def test_a_word_at_the_threshold_is_kept(head, levels, found):
    at = float(rescore_words(head, levels, found, SCALE, size_hw=SIZE_HW,
                             settings=DetectionSettings(region_threshold=0, region_weight=1)).scores[0])  # fmt: skip

    assert len(rescore(head, levels, found, region_threshold=at)) == 2


def test_words_without_width_are_judged_too(head, levels):
    line = np.array([axis_aligned(20, 10, 20, 20)], dtype=np.float32)

    kept = rescore(head, levels, Detections(line, np.ones(1, np.float32)), region_threshold=0, region_refine=True)

    assert np.isfinite(kept.scores).all()
    assert kept.quads_xy[0, 1, 0] > kept.quads_xy[0, 0, 0]


def test_refined_boxes_stay_inside_the_image(head, levels):
    wide = np.array([axis_aligned(60, 10, 120, 20)], dtype=np.float32)  # moved by a tenth of its width to the right

    kept = rescore(head, levels, Detections(wide, np.ones(1, np.float32)), region_threshold=0, region_refine=True)

    assert kept.quads_xy[0, :, 0].max() == 120


def test_words_are_judged_where_they_lie_in_the_network_input(head, levels):
    """Twice as wide as high in source pixels: x and y have different scales."""
    source = np.array([axis_aligned(100, 5, 130, 10)], dtype=np.float32)  # in the network's input 25 to 32.5: text

    kept = rescore_words(
        head, levels, Detections(source, np.ones(1, np.float32)), np.array([4.0, 0.5]), size_hw=(40, 480),
        settings=DetectionSettings(region_threshold=0.5),
    )  # fmt: skip

    assert len(kept) == 1
