"""Pixels finished on the training device are those that loader processes would have made."""

import io
import itertools

import cv2
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from craft.config import AugmentSettings, DataSettings, validate_config
from craft.datasets.augment import make_sample
from craft.datasets.colours import apply_changes
from craft.datasets.loader import build_loader, collate
from craft.datasets.warp import warp_image
from craft.images.reader import EncodedPicture
from craft.scene import Change, Scene
from craft.training.device_colours import change_colours
from craft.training.device_pictures import warp_on_device
from craft.training.device_pixels import finish_pixels, left_to_device
from craft.training.loop import train
from craft.training.run_log import read_metrics

CPU = torch.device("cpu")
DEVICES = [
    CPU,
    pytest.param(torch.device("cuda"), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]
NO_JPEG = AugmentSettings(colour=0.6, blur=0.5, noise=0.5, grey=0.3, jpeg=0)
PLAIN = AugmentSettings(colour=0, blur=0, noise=0, grey=0, jpeg=0)


def scenery(height=200, width=260):
    """A picture with smooth parts, edges and colour."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack([rows, columns, 0.5 * (rows + columns)], axis=-1) * (255 / max(height, width))
    image = np.clip(image, 0, 255).astype(np.uint8)
    image[60:120, 80:180] = (200, 40, 90)
    cv2.putText(image, "craft", (70, 150), cv2.FONT_HERSHEY_SIMPLEX, 2, (250, 250, 10), 4)
    return image


def jpeg(image, name="a.jpg"):
    done, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return EncodedPicture(content.tobytes(), name=name)


def on_device(image, changes, device):
    images = torch.from_numpy(image).permute(2, 0, 1)[None].to(device).clone()
    change_colours(images, [changes])
    return images[0].permute(1, 2, 0).cpu().numpy()


def apart(first, second):
    return np.abs(first.astype(int) - second.astype(int))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("kind", "levels"), [("colour", 1), ("blur", 1), ("grey", 0), ("noise", 0)])
def test_each_change_is_that_of_a_loader_process(kind, levels, device):
    for seed in range(12):
        expected = apply_changes(scenery(), [Change(kind, seed)])

        changed = on_device(scenery(), [Change(kind, seed)], device)

        assert apart(changed, expected).max() <= levels
        assert (changed != scenery()).any()


def test_changes_are_made_in_their_order():
    changes = [Change("colour", 3), Change("grey", 1), Change("blur", 2), Change("noise", 5)]
    expected = apply_changes(scenery(), changes)

    changed = on_device(scenery(), changes, CPU)

    assert apart(changed, expected).max() <= 3
    assert apart(on_device(scenery(), changes[::-1], CPU), expected).max() > 3


def test_only_the_crops_that_have_changes_are_touched():
    images = torch.from_numpy(np.stack([scenery(), scenery()])).permute(0, 3, 1, 2).clone()

    change_colours(images, [(), (Change("grey", 0),)])

    np.testing.assert_array_equal(images[0].permute(1, 2, 0).numpy(), scenery())
    assert torch.equal(images[1, 0], images[1, 2])


def test_a_crop_that_is_compressed_in_the_end_is_finished_by_the_loader():
    settings = NO_JPEG.model_copy(update={"jpeg": 1.0})

    sample = make_sample(jpeg(scenery()), (), seed=4, crop_size=96, settings=settings, left="pictures")

    assert sample.encoded is None
    assert sample.changes == ()
    expected = make_sample(jpeg(scenery()), (), seed=4, crop_size=96, settings=settings)
    np.testing.assert_array_equal(sample.image, expected.image)


@pytest.mark.parametrize("left", ["colours", "pictures"])
def test_finished_crops_are_those_of_the_loader_alone(left):
    seen = 0
    for seed in range(16):
        expected = make_sample(jpeg(scenery()), (), seed=seed, crop_size=96, settings=NO_JPEG)
        sample = make_sample(jpeg(scenery()), (), seed=seed, crop_size=96, settings=NO_JPEG, left=left)
        seen += bool(sample.changes) or sample.encoded is not None

        batch = finish_pixels(collate([sample, expected]), CPU)

        assert batch.encoded is None
        assert batch.changes == []
        crop = batch.images[0].permute(1, 2, 0).numpy()
        assert apart(crop, expected.image).mean() < (0.3 if left == "colours" else 1.0)
        np.testing.assert_array_equal(batch.images[1].permute(1, 2, 0).numpy(), expected.image)
    assert seen >= 12


def slow_warp(image, matrix, size_hw):
    """Bilinear in float64, every pixel centre sent back; black outside."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    x, y, w = np.einsum("ij,jyx->iyx", np.linalg.inv(matrix), np.stack([columns, rows, np.ones_like(rows)]))
    x, y = x / w - 0.5, y / w - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    framed = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    value = np.zeros((*size_hw, 3))
    for right, below in itertools.product((0, 1), repeat=2):
        weight = np.abs(1 - right - (x - left)) * np.abs(1 - below - (y - top))
        column = np.clip(left + right + 1, 0, image.shape[1] + 1)
        value += weight[..., None] * framed[np.clip(top + below + 1, 0, image.shape[0] + 1), column]
    return value


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "matrix",
    [
        [[1.3, 0.2, -40.0], [-0.1, 1.1, 10.0], [0.0004, -0.0003, 1.0]],
        [[0.8, 0.0, 5.0], [0.0, 0.7, -3.0], [0.0, 0.0, 1.0]],
        [[1.0, 0.0, -17.0], [0.0, 1.0, 30.0], [0.0, 0.0, 1.0]],
    ],
)
def test_a_crop_is_drawn_through_its_homography(matrix, device):
    picture = torch.from_numpy(scenery()).permute(2, 0, 1).to(device)

    drawn = warp_on_device(picture, np.array(matrix), size_hw=(128, 160)).permute(1, 2, 0).cpu().numpy()

    assert np.abs(drawn - slow_warp(scenery(), np.array(matrix), (128, 160))).max() <= 0.6


def test_a_picture_that_shrinks_is_averaged_first():
    matrix = np.diag([0.24, 0.24, 1.0])  # blocks of 4 x 4
    picture = torch.from_numpy(scenery(203, 261)).permute(2, 0, 1)

    drawn = warp_on_device(picture, matrix, size_hw=(56, 72)).permute(1, 2, 0).numpy()

    expected = warp_image(scenery(203, 261), matrix, size_hw=(56, 72))
    assert apart(drawn, expected).mean() < 0.3
    assert apart(drawn, expected).max() <= 2
    assert (drawn[50:] == 0).all()  # beyond the picture's 203 rows


def turned_jpeg(image):
    """A file whose pixels are to be turned by 90 degrees, as its EXIF orientation says."""
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(image).save(content, "JPEG", exif=exif)
    return content.getvalue()


@pytest.mark.parametrize("encode", [turned_jpeg, lambda image: cv2.imencode(".png", image)[1].tobytes()])
def test_png_and_turned_files_are_left_to_no_device(encode):
    picture = EncodedPicture(encode(scenery()), name="a")

    sample = make_sample(picture, (), seed=1, crop_size=64, settings=None, left="pictures")

    assert sample.encoded is None
    assert sample.image.any()


def test_a_damaged_file_is_named():
    picture = jpeg(scenery(), name="folder/img_7.jpg")
    sample = make_sample(picture, (), seed=1, crop_size=64, settings=None, left="pictures")
    batch = collate([sample])
    batch.encoded.content[20:200] = 0  # tables that decoding needs

    with (
        pytest.warns(UserWarning, match="on_device"),
        pytest.raises(ValueError, match=r"folder/img_7\.jpg: is no picture, or a damaged one"),
    ):
        finish_pixels(batch, CPU)


def test_a_file_that_the_device_cannot_decode_is_decoded_on_the_host(monkeypatch):
    sample = make_sample(jpeg(scenery()), (), seed=1, crop_size=64, settings=None, left="pictures")
    expected = finish_pixels(collate([sample]), CPU).images

    def refuse(*_arguments, **_names):
        raise RuntimeError("no decoder here")

    monkeypatch.setattr(torchvision.io, "decode_jpeg", refuse)
    with pytest.warns(UserWarning, match="no decoder here"):
        images = finish_pixels(collate([sample]), CPU).images

    assert apart(images.numpy(), expected.numpy()).max() <= 2


def test_a_torchvision_without_a_decoder_leaves_decoding_to_the_host(monkeypatch):
    sample = make_sample(jpeg(scenery()), (), seed=1, crop_size=64, settings=None, left="pictures")
    expected = finish_pixels(collate([sample]), CPU).images

    monkeypatch.delattr(torchvision.io, "decode_jpeg")
    with pytest.warns(UserWarning, match="this torchvision decodes no JPEG files"):
        images = finish_pixels(collate([sample]), CPU).images

    assert apart(images.numpy(), expected.numpy()).max() <= 2


@pytest.fixture
def scenes(tmp_path):
    listed = []
    for index in range(5):
        path = tmp_path / f"img_{index}.jpg"
        cv2.imwrite(str(path), np.roll(scenery(), 31 * index, axis=1))
        listed.append(Scene(image_path=str(path), words=(), name=path.stem))
    return listed


@pytest.mark.parametrize("left", ["colours", "pictures"])
def test_loader_processes_leave_the_same(scenes, left):
    fields = {"seed": 2, "crop_size": 64, "augment": NO_JPEG, "batch_size": 4, "start_position": 0, "left": left}
    alone, together = (
        list(itertools.islice(build_loader([(scenes, 1.0)], workers=workers, **fields), 3)) for workers in (0, 2)
    )

    for one, other in zip(alone, together, strict=True):
        assert one.changes == other.changes
        assert any(one.changes)
        assert (one.encoded is not None) == (left == "pictures")
        assert torch.equal(finish_pixels(one, CPU).images, finish_pixels(other, CPU).images)


def test_a_batch_without_work_is_the_same_batch(scenes):
    batch = next(
        build_loader(
            [(scenes, 1.0)],
            seed=2,
            crop_size=64,
            augment=PLAIN,
            batch_size=2,
            workers=0,
            start_position=0,
            left="colours",
        )
    )

    assert finish_pixels(batch, CPU) is batch


def test_a_gpu_changes_colours_unless_told_otherwise():
    gpu = torch.device("cuda")

    assert left_to_device(DataSettings(), CPU) == "nothing"
    assert left_to_device(DataSettings(), gpu) == "colours"
    assert left_to_device(DataSettings(on_device="nothing"), gpu) == "nothing"
    assert left_to_device(DataSettings(on_device="pictures"), CPU) == "pictures"
    with pytest.raises(ValueError, match="on_device"):
        DataSettings(on_device="gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_changing_colours_never_makes_the_host_wait():
    images = torch.zeros((2, 3, 64, 64), dtype=torch.uint8, device="cuda")
    changes = [[Change("colour", 1), Change("blur", 2)], [Change("grey", 1), Change("noise", 3)]]
    change_colours(images, changes)  # the pool of noise is copied once
    torch.cuda.set_sync_debug_mode("error")
    try:
        change_colours(images, changes)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def losses(folder):
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl", kind="train")]


def with_colours(values):
    """The tiny settings with changes of colour."""
    changed = {"colour": 1.0, "blur": 0.5, "noise": 0.5, "jpeg": 0.0}
    return {**values, "augment": {**values.get("augment", {}), **changed}}


def test_a_run_learns_the_same_wherever_its_pixels_are_finished(tiny_values, tmp_path):
    found = {}
    for choice in ("nothing", "colours", "pictures"):
        values = with_colours(tiny_values)
        values["data"] = {**values["data"], "on_device": choice}
        train(validate_config(values, where="a test"), tmp_path / choice)
        found[choice] = losses(tmp_path / choice)

    for choice in ("colours", "pictures"):
        np.testing.assert_allclose(found[choice], found["nothing"], rtol=0.02)
    assert found["colours"] != found["nothing"]  # they were finished elsewhere, and rounded there


def test_where_pixels_are_finished_may_change_when_a_run_goes_on(tiny_values, tmp_path):
    values = with_colours(tiny_values)
    train(validate_config(values, where="a test"), tmp_path / "run")
    values["data"] = {**values["data"], "on_device": "colours"}

    outcome = train(validate_config(values, where="a test"), tmp_path / "run", resume=True)

    assert outcome.finished
