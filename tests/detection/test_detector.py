"""The detector with a network that answers with maps known beforehand, and with a real small one."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from craft.config import DetectionSettings
from craft.decode.words import words_from_maps
from craft.detection.detector import Detector
from craft.detection.network_input import network_size, resize_and_pad, source_scale
from craft.images.image_like import load_image
from craft.models.craft import CRAFT
from craft.models.weights import save_original, save_safetensors


class BrightIsText(nn.Module):
    """Region score 1 where the image is white, 0 where it is black; no affinity."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert not self.training
        self.shapes.append(tuple(images.shape))
        grey = nn.functional.avg_pool2d(images.float(), 2).mean(dim=1, keepdim=True)
        region = (grey > 1).float() + self.bias
        return torch.cat([region, torch.zeros_like(region)], dim=1), region


def detector(**settings) -> Detector:
    return Detector(BrightIsText(), DetectionSettings(**settings), device="cpu", precision="fp32")


def box_image(
    height: int = 200, width: int = 300, *, box: tuple[int, int, int, int] = (60, 80, 180, 120)
) -> np.ndarray:
    pixels = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = 255
    return pixels


def small_network(seed: int = 0) -> CRAFT:
    return CRAFT(0.125, generator=torch.Generator().manual_seed(seed))


def test_words_come_in_source_pixels():
    found = detector(sizing="scale", magnify=2.0).detect(box_image())

    # 40 source pixels high are 40 map pixels, 120 x 40: int(2 sqrt(40)) = 12 grow by 6 map pixels on every side,
    # and the box runs through pixel centres: half a map pixel less on every side.
    np.testing.assert_allclose(found.quads_xy, [[[54.5, 74.5], [185.5, 74.5], [185.5, 125.5], [54.5, 125.5]]])
    np.testing.assert_allclose(found.scores, [1.0])
    assert found.polygons_xy == []
    assert found.character_quads_xy == []


def test_original_pixel_rule_starts_at_the_corner_of_map_pixels():
    centre = detector(sizing="scale", magnify=2.0).detect(box_image())
    corner = detector(sizing="scale", magnify=2.0, pixel_rule="corner").detect(box_image())

    np.testing.assert_allclose(centre.quads_xy - corner.quads_xy, 0.5)  # half a map pixel: one source pixel is one


def test_image_without_text_has_no_words():
    found = detector().detect(np.zeros((50, 70, 3), np.uint8), polygons=True, characters=True)

    assert len(found) == 0
    assert found.quads_xy.shape == (0, 4, 2)


def test_padding_is_cut_from_the_maps_unless_it_is_kept():
    image = box_image(71, 101)

    cut, _, _ = detector(sizing="scale", magnify=1.0).score_maps(image)
    kept, _, _ = detector(sizing="scale", magnify=1.0, keep_padding=True).score_maps(image)

    assert cut.shape == (36, 51)  # pixels that the image half fills are kept
    assert kept.shape == (48, 64)
    np.testing.assert_array_equal(kept[:36, :51], cut)


@pytest.mark.parametrize(
    ("settings", "size_hw", "expected"),
    [
        ({}, (720, 1280), (720, 1280)),  # 1.5 x 1280 is over the canvas of 1280
        ({}, (400, 600), (600, 900)),
        ({}, (2000, 1000), (1280, 640)),
        ({"sizing": "long_side", "long_side": 2240}, (720, 1280), (1260, 2240)),
        ({"sizing": "scale", "magnify": 0.5}, (101, 51), (50, 25)),
        ({"sizing": "long_side", "long_side": 64}, (1, 1000), (1, 64)),
        ({"sizing": "long_side", "long_side": 64}, (1000, 1), (64, 1)),
    ],
)
def test_sizes_follow_the_settings(settings, size_hw, expected):
    assert network_size(size_hw, DetectionSettings(**settings)) == expected


def test_words_are_scaled_back_by_the_rounded_size_but_not_as_the_original_does():
    sizes, settings = ((101, 51), (50, 25)), {"sizing": "scale", "magnify": 0.5}  # heights and widths

    exact = source_scale(*sizes, DetectionSettings(**settings))
    original = source_scale(*sizes, DetectionSettings(**settings, pixel_rule="corner"))

    np.testing.assert_allclose(exact, [51 / 25, 101 / 50])  # x, y
    np.testing.assert_allclose(original, [2, 2])


def test_padding_is_black_to_the_next_multiple_of_32():
    padded = resize_and_pad(np.full((10, 20, 3), 200, np.uint8), (33, 64))

    assert padded.shape == (64, 64, 3)
    assert (padded[:33] == 200).all()
    assert (padded[33:] == 0).all()


def test_array_pillow_and_path_give_the_same_words(tmp_path):
    pixels = box_image()
    Image.fromarray(pixels).save(tmp_path / "page.png")
    finder = detector()
    expected = finder.detect(pixels).quads_xy

    assert len(expected) == 1
    for image in (pixels[:, :, 0], Image.fromarray(pixels), tmp_path / "page.png", str(tmp_path / "page.png")):
        np.testing.assert_array_equal(finder.detect(image).quads_xy, expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 5), np.uint8), "has the shape"),
        (np.zeros((0, 4, 3), np.uint8), "has the shape"),
        (np.zeros((4, 4, 3), np.float32), "has the type float32; pass uint8"),
        (None, "image is None"),
    ],
)
def test_arrays_that_are_not_images_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        detector().detect(image)


def test_many_images_of_different_sizes_come_back_in_order():
    images = [box_image(), box_image(100, 120, box=(20, 20, 90, 60)), np.zeros((40, 40, 3), np.uint8), box_image()]
    finder = detector(sizing="scale", magnify=1.0)
    expected = [finder.detect(image) for image in images]

    many = list(finder.detect_many(iter(images), batch_size=3))

    assert [len(found) for found in many] == [1, 1, 0, 1]
    for one, other in zip(many, expected, strict=True):
        np.testing.assert_array_equal(one.quads_xy, other.quads_xy)


def test_images_of_one_size_go_through_the_network_together():
    finder = detector(sizing="scale", magnify=1.0)

    assert len(list(finder.detect_many([box_image()] * 5, batch_size=4))) == 5
    assert [shape[0] for shape in finder.model.shapes] == [4, 1]


def test_no_images_give_no_detections():
    assert list(detector().detect_many([])) == []


def test_batch_of_none_is_refused():
    with pytest.raises(ValueError, match="batch_size is 0"):
        next(detector().detect_many([box_image()], batch_size=0))


def test_outlines_and_characters_come_one_per_word_in_source_pixels():
    found = detector(sizing="scale", magnify=2.0).detect(box_image(), polygons=True, characters=True)

    np.testing.assert_array_equal(found.polygons_xy[0], found.quads_xy[0])
    assert found.character_quads_xy[0].shape[1:] == (4, 2)
    assert len(found.character_quads_xy) == 1


def test_transparency_of_arrays_is_laid_on_white_and_grey_may_have_a_channel():
    clear = np.zeros((4, 5, 4), np.uint8)

    assert (load_image(clear) == 255).all()
    np.testing.assert_array_equal(load_image(np.full((4, 5, 1), 7, np.uint8)), np.full((4, 5, 3), 7, np.uint8))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (io.BytesIO(b"x"), "image is a BytesIO; pass a path, the bytes of a file"),
        (["a.png"], "image is a list; pass a path"),
        (3, "image is a int; pass a path"),
        (None, "image is None, which cv2.imread returns"),
        (Image.new("RGB", (0, 5)), r"image has the shape \(5, 0, 3\).*not empty"),
        (np.zeros((4, 5, 3), np.float32), "image has the type float32; pass uint8"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"image has the shape \(1, 4, 5, 3\)"),
        (memoryview(b"no image"), "is not an image"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(image, said):
    with pytest.raises(ValueError, match=said):
        load_image(image)


def test_a_pillow_image_whose_file_is_cut_short_is_named_when_its_pixels_are_read(tmp_path):
    Image.fromarray(box_image()).save(tmp_path / "a.png")
    path = tmp_path / "cut.png"
    path.write_bytes((tmp_path / "a.png").read_bytes()[:-200])

    with Image.open(path) as image, pytest.raises(ValueError, match=r"cut.png: cannot be read as an image"):
        load_image(image)


def test_a_single_path_in_place_of_a_list_is_refused():
    with pytest.raises(ValueError, match="images is a single image; pass a list"):
        next(detector().detect_many("photo.jpg"))


def test_a_strip_is_not_shrunk_for_its_length():
    settings = DetectionSettings(magnify=1.5, canvas=1280)

    assert network_size((14_400, 253), settings) == (18_213, 320)  # counts as 4 x 253, magnified to the canvas
    assert network_size((2000, 500), settings) == (1280, 320)


def test_threads_that_share_a_detector_find_the_same_words_and_change_nothing():
    detector = Detector(small_network(), DetectionSettings(sizing="scale", magnify=1.0), device="cpu", precision="fp32")
    images = [box_image(64, 64 + 32 * index, box=(10, 10, 50, 30)) for index in range(4)]
    before = {name: value.clone() for name, value in detector.model.state_dict().items()}
    alone = [detector.score_maps(image)[0] for image in images]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda index: detector.score_maps(images[index % 4])[0], range(32)))

    for index, maps in enumerate(together):
        np.testing.assert_array_equal(maps, alone[index % 4])
    assert not any(module.training for module in detector.model.modules())
    for name, value in detector.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_network_in_training_mode_is_refused_and_left_as_it_was():
    found = Detector(small_network(), DetectionSettings(), device="cpu")
    found.model.train()
    before = {name: value.clone() for name, value in found.model.state_dict().items()}

    with pytest.raises(ValueError, match=r"in training mode; call model.eval\(\)"):
        found.detect(box_image(64, 64, box=(10, 10, 50, 30)))

    assert found.model.training
    for name, value in found.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_settings_travel_with_the_weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    carried = DetectionSettings(text_threshold=0.55, sizing="long_side", long_side=640)
    save_safetensors(small_network(), path, {"detection": carried.model_dump()})

    assert Detector.from_weights(path, device="cpu").settings == carried
    assert Detector.from_weights(path, device="cpu", low_text=0.3).settings.low_text == 0.3


def test_original_format_is_used_as_the_original_does(tmp_path):
    path = tmp_path / "craft.pth"
    model = small_network()
    torch.save(model.state_dict(), path)

    loaded = Detector.from_weights(path, device="cpu", precision="fp32")

    assert loaded.settings.pixel_rule == "corner"
    assert loaded.settings.keep_padding
    image = box_image(64, 96, box=(10, 10, 60, 40))
    expected = Detector(model, loaded.settings, device="cpu", precision="fp32").score_maps(image)
    np.testing.assert_allclose(loaded.score_maps(image)[0], expected[0], atol=1e-5)


def test_weights_that_carry_no_settings_are_used_as_the_original_does(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_safetensors(small_network(), path, {})

    settings = Detector.from_weights(path, device="cpu").settings

    assert (settings.pixel_rule, settings.keep_padding) == ("corner", True)


def test_misspelt_setting_is_refused_with_the_nearest_one(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_safetensors(small_network(), path, {})

    with pytest.raises(ValueError, match=r"detection\.low_text"):
        Detector.from_weights(path, device="cpu", low_txt=0.3)


def test_thresholds_can_be_tried_on_maps_without_the_network():
    region = np.zeros((40, 60), np.float32)
    region[10:20, 10:40] = 0.6
    empty = np.zeros_like(region)

    strict = words_from_maps(region, empty, np.ones(2), settings=DetectionSettings())
    lenient = words_from_maps(region, empty, np.ones(2), settings=DetectionSettings(text_threshold=0.5))

    assert len(strict) == 0
    assert len(lenient) == 1


def test_bf16_scores_are_near_those_of_fp32():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    model, settings = small_network(), DetectionSettings(sizing="scale", magnify=1.0)

    full = Detector(model, settings, device="cpu", precision="fp32").score_maps(image)[0]
    half = Detector(model, settings, device="cpu", precision="bf16").score_maps(image)[0]

    assert half.dtype == np.float32
    np.testing.assert_allclose(half, full, atol=0.02 * max(1.0, float(np.abs(full).max())))


def test_save_original_round_trip_keeps_the_scores(tmp_path):
    model = CRAFT(1.0, generator=torch.Generator().manual_seed(0))
    save_original(model, tmp_path / "original.pth")
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)

    loaded = Detector.from_weights(tmp_path / "original.pth", device="cpu", precision="fp32")

    expected = Detector(model, loaded.settings, device="cpu", precision="fp32").score_maps(image)
    np.testing.assert_allclose(loaded.score_maps(image)[0], expected[0], atol=1e-5)


def test_the_bytes_of_a_file_are_an_image(tmp_path):
    Image.fromarray(box_image()).save(tmp_path / "a.png")

    assert (load_image((tmp_path / "a.png").read_bytes()) == load_image(tmp_path / "a.png")).all()
    with pytest.raises(ValueError, match="is not an image"):
        load_image(b"no image")
