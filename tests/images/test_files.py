"""Image files in folders: the same ones for every verb."""

import numpy as np
import pytest
from PIL import Image

from craft.config import DatasetSettings
from craft.datasets.reading import read_dataset
from craft.detection.image_search import find_images
from craft.images.files import files_below, images_among
from craft.images.reader import IMAGE_ENDINGS, image_size, read_image
from craft.synth.backgrounds import photograph_background

LABEL = "1,1,11,1,11,11,1,11,text\n"


def save_as(path, kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (200, 10, 10)).save(path, kind)
    return path


@pytest.fixture
def linked(tmp_path):
    """A folder that holds a link to the folder of the images and one to itself, and a file that macOS left."""
    save_as(tmp_path / "elsewhere" / "below" / "photo.jpg", "JPEG")
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "._photo.jpg").write_bytes(b"\0\5\x16\7")
    (folder / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (folder / "self").symlink_to(folder, target_is_directory=True)
    (folder / "gone.jpg").symlink_to(tmp_path / "gone.jpg")
    return folder


def test_links_are_followed_once_and_files_of_macos_left_out(linked):
    expected = [linked / "link" / "below" / "photo.jpg"]

    assert images_among(files_below(linked)) == expected
    assert find_images([linked])[0] == expected
    image, _ = photograph_background(np.random.default_rng(0), str(linked), (32, 32), labelled=False)
    assert abs(int(image[0, 0, 0]) - 200) < 5


@pytest.mark.parametrize("ending", sorted(IMAGE_ENDINGS - {".mpo"}))
def test_an_image_of_any_ending_is_read_by_every_reader(tmp_path, ending):
    kind = {".jfif": "JPEG", ".jpe": "JPEG", ".apng": "PNG", ".dib": "BMP", ".j2k": "JPEG2000", ".avif": "AVIF"}
    kind |= dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM")
    if ending in (".avif", ".heic", ".heif") and ending not in Image.registered_extensions():
        pytest.skip(f"this Pillow cannot write {ending}")
    path = save_as(tmp_path / f"img_1{ending}", kind.get(ending, Image.registered_extensions().get(ending)))
    (tmp_path / "gt_img_1.txt").write_text(LABEL)

    reading = read_dataset(DatasetSettings(path=str(tmp_path), format="icdar2015", images=".", labels="."), decode=True)

    assert read_image(path).shape == (30, 40, 3)
    assert image_size(path) == (30, 40)
    assert find_images([tmp_path])[0] == [path]
    assert ([scene.name for scene in reading.scenes], reading.problems) == (["img_1"], ())


def test_a_background_that_cannot_be_read_is_named_and_the_next_one_taken(tmp_path):
    save_as(tmp_path / "good.png")
    content = save_as(tmp_path / "bad.png").read_bytes()
    (tmp_path / "bad.png").write_bytes(content[:-30])

    with pytest.warns(UserWarning, match=r"bad\.png"):
        images = [
            photograph_background(np.random.default_rng(seed), str(tmp_path), (32, 32), labelled=False)[0]
            for seed in range(8)
        ]
    assert all(abs(int(image[0, 0, 0]) - 200) < 5 for image in images)


def test_backgrounds_none_of_which_can_be_read_are_refused(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")

    with pytest.warns(UserWarning, match="bad"), pytest.raises(ValueError, match=r"bad\.png"):
        photograph_background(np.random.default_rng(0), str(tmp_path), (32, 32), labelled=False)
