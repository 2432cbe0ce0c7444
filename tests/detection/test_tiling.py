"""Images in tiles have the maps, and the words, of images in one piece."""

import itertools

import numpy as np
import pytest
import torch
from tqdm import tqdm

from craft.config import LEAST_TILE, DetectionSettings
from craft.detection import tiling
from craft.detection.detector import Detector
from craft.detection.scored_image import score_images
from craft.detection.tiling import MARGIN, score_tiles, tile_spans
from craft.models.craft import CRAFT
from craft.models.inference import normalise_images
from craft.models.refiner import LineNetwork, LinkRefiner
from craft.models.region_head import RegionArchitecture, add_region_path

SHAPES = [(96, 1504), (1504, 96), pytest.param((896, 928), marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=["words", "lines"])
def far_sighted(request):
    """A network in which every input pixel that can reach a map pixel does: all weights positive, in float64; its margin."""
    model = CRAFT(width=0.0625)
    if request.param == "lines":
        model = LineNetwork(model, LinkRefiner(model.level_channels["decoder2"], channels=2))
    model = model.double().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.uniform_(0.5, 1.5).div_(module.weight[0].numel())
                if module.bias is not None:
                    module.bias.fill_(0.01)

    def score(pixels):
        images = normalise_images(torch.from_numpy(pixels).permute(0, 3, 1, 2)).double() + 3  # past every ReLU
        with torch.inference_mode():
            maps, levels = model(images)
        return maps.numpy(), {"features": levels["decoder2"]}

    return score, MARGIN + getattr(model, "further_reach", 0)


def random_image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_maps_of_tiles_equal_those_of_the_whole(far_sighted, shape):
    pixels = random_image(shape)

    score, margin = far_sighted
    maps, levels = score_tiles(pixels, score, tile=LEAST_TILE, margin=margin)

    whole, features = score(pixels[None])
    assert np.abs(maps - whole[0]).max() < 1e-12 * np.abs(whole).max()
    assert (levels["features"] - features["features"]).abs().max() < 1e-12


def test_a_smaller_margin_would_not_do(far_sighted):
    pixels = random_image((96, 1504))
    score, margin = far_sighted
    less = MARGIN // 2 if margin == MARGIN else MARGIN

    maps, _ = score_tiles(pixels, score, tile=LEAST_TILE, margin=less)

    whole, _ = score(pixels[None])
    assert np.abs(maps - whole[0]).max() > 1e-12 * np.abs(whole).max()


def test_a_detector_of_lines_gives_tiles_the_reach_of_its_links():
    network = CRAFT(width=0.0625)
    lines = LineNetwork(network, LinkRefiner(network.level_channels["decoder2"], channels=2))
    shapes = []
    lines.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape[3]))

    Detector(lines, DetectionSettings(sizing="scale", magnify=1.0, tile=1024), device="cpu").detect(
        random_image((32, 2048))
    )

    assert shapes == [704, 1024, 1024, 1024, 832, 448][: len(shapes)]


@pytest.mark.parametrize("tile", [LEAST_TILE, 1024, 2560])
@pytest.mark.parametrize("length", [32, LEAST_TILE, LEAST_TILE + 32, 2560, 2592, 10016])
def test_own_parts_cover_a_side_once_and_have_their_margins(length, tile):
    spans = tile_spans(length, tile)

    assert spans[0][2] == 0
    assert spans[-1][3] == length
    assert all(one[3] == next_one[2] for one, next_one in itertools.pairwise(spans))
    for start, end, own_start, own_end in spans:
        assert 0 <= start <= own_start < own_end <= end <= length
        assert end - start <= tile
        assert start == 0 or own_start - start == MARGIN
        assert end == length or end - own_end >= MARGIN
        assert all(number % 32 == 0 for number in (start, end, own_start, own_end))


@pytest.mark.parametrize("head", [False, True])
def test_a_detector_finds_the_same_words_in_tiles(head):
    torch.manual_seed(0)
    model = CRAFT(width=0.0625)
    if head:
        pytest.importorskip("torchvision")
        add_region_path(model, RegionArchitecture(), seed=0)
    settings = {"sizing": "scale", "magnify": 1.0, "text_threshold": 0.0, "low_text": 0.02, "link_threshold": 1.0}
    whole = Detector(model, DetectionSettings(**settings, tile=0), device="cpu", precision="fp32")
    tiled = Detector(model, DetectionSettings(**settings, tile=700), device="cpu", precision="fp32")  # 672: whole steps
    pixels = random_image((150, 1500), seed=3)

    first, second = whole.score(pixels), tiled.score(pixels)

    assert first.region.shape == second.region.shape == (75, 750)
    np.testing.assert_allclose(second.region, first.region, atol=1e-5)
    np.testing.assert_allclose(second.affinity, first.affinity, atol=1e-5)
    assert list(first.levels) == list(second.levels)
    for name, level in first.levels.items():
        torch.testing.assert_close(second.levels[name], level, atol=1e-4, rtol=1e-4)
    assert len(tiled.detect(pixels).scores) == len(whole.detect(pixels).scores)


def test_images_of_one_size_in_a_batch_are_tiled_one_by_one():
    torch.manual_seed(0)
    settings = DetectionSettings(sizing="scale", magnify=1.0, tile=LEAST_TILE)
    detector = Detector(CRAFT(width=0.0625), settings, device="cpu", precision="fp32")
    images = [random_image((64, 700), seed) for seed in (1, 2)]

    both = [found.region for found in score_images(images, detector._run, settings=settings)]

    for pixels, region in zip(images, both, strict=True):
        np.testing.assert_array_equal(region, detector.score(pixels).region)
    assert np.abs(both[0] - both[1]).max() > 1e-4


def test_progress_says_how_many_tiles_there_are(capsys, monkeypatch):
    # At once, not only after two seconds.
    monkeypatch.setattr(tiling, "tqdm", lambda *spans, **options: tqdm(*spans, **options | {"delay": 0}))
    detector = Detector(
        CRAFT(width=0.0625), DetectionSettings(sizing="scale", magnify=1.0, tile=LEAST_TILE), device="cpu"
    )

    detector.detect(random_image((64, 1280), seed=0), progress=True)
    said = capsys.readouterr().err
    detector.detect(random_image((64, 1280), seed=0))

    assert "1280 x 64 in 10 tiles" in said
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("tile", [1, LEAST_TILE - 1])
def test_a_tile_that_is_all_margin_is_refused(tile):
    with pytest.raises(ValueError, match=f"tile is {tile}; a tile has at least 640 pixels"):
        DetectionSettings(tile=tile)
