"""Pages: every one of a document, frames by choice, and what is missing named with its remedy."""

import io
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from craft.errors import Problem
from craft.images.pages import read_pages

GREYS = (0, 80, 160)


def frames(size: tuple[int, int] = (32, 16)) -> list[Image.Image]:
    return [Image.new("RGB", size, (grey, grey, grey)) for grey in GREYS]


def save(path, **options):
    first, *rest = frames()
    first.save(path, save_all=True, append_images=rest, **options)
    return path


def means(path, **options) -> list[tuple[int | None, int]]:
    return [(page.number, round(page.image.mean())) for page in read_pages(path, **options)]


def test_every_page_of_a_tiff_is_read(tmp_path):
    assert means(save(tmp_path / "a.tif")) == [(1, 0), (2, 80), (3, 160)]


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_frames_of_animations_are_read_by_choice(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}", **({"lossless": True} if ending == "webp" else {}))

    assert means(path) == [(None, 0)]
    assert means(path, every=2) == [(1, 0), (3, 160)]


def test_an_image_with_one_page_has_no_number(tmp_path):
    frames()[1].save(tmp_path / "a.png")

    assert means(tmp_path / "a.png") == [(None, 80)]


def test_standard_input_is_read(tmp_path, monkeypatch):
    content = save(tmp_path / "a.tif").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert means("-") == [(1, 0), (2, 80), (3, 160)]


def test_frames_of_a_video_are_read_by_choice(tmp_path):
    path = tmp_path / "a.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    if not video.isOpened():
        pytest.skip("this OpenCV writes no video")
    for grey in GREYS:
        video.write(np.full((48, 64, 3), grey, np.uint8))
    video.release()

    assert [number for number, _ in means(path, every=2)] == [1, 3]
    assert np.abs(np.array([mean for _, mean in means(path, every=1)]) - GREYS).max() < 6
    with pytest.raises(Problem, match="say which frames to search: --frames"):
        list(read_pages(path))


def test_pages_of_a_pdf_are_rendered_at_the_resolution(tmp_path):
    pytest.importorskip("pypdfium2")
    frames((72, 36))[0].save(tmp_path / "a.pdf", save_all=True, append_images=frames((72, 36))[1:], resolution=72)

    pages = list(read_pages(tmp_path / "a.pdf", dpi=144))

    assert [page.number for page in pages] == [1, 2, 3]
    assert [page.image.shape for page in pages] == [(72, 144, 3)] * 3
    np.testing.assert_allclose([page.image.mean() for page in pages], GREYS, atol=4)


@pytest.mark.parametrize(
    ("content", "module", "said"),
    [
        (b"%PDF-1.7", "pypdfium2", "is a PDF, which craft reads with pypdfium2; pip install pypdfium2"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "pillow_heif", "is a HEIC image, which craft reads with pillow-heif"),
    ],
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, content, module, said):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a").write_bytes(content)

    with pytest.raises(Problem, match=said):
        list(read_pages(tmp_path / "a"))


@pytest.mark.parametrize("name", ["missing.png", "missing.mp4", "empty.png", "text.png"])
def test_what_cannot_be_read_is_named(tmp_path, name):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"no image")

    with pytest.raises(Problem, match=name):
        list(read_pages(tmp_path / name))


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow
@pytest.mark.parametrize("ending", ["tif", "gif", "png", "webp", "pdf"])
def test_files_of_several_pages_cut_anywhere_give_pages_or_are_named(tmp_path, ending):
    if ending == "pdf":
        pytest.importorskip("pypdfium2")
    whole = save(tmp_path / f"a.{ending}").read_bytes()
    path = tmp_path / f"cut.{ending}"

    named = 0
    for length in range(1, len(whole), max(1, len(whole) // 200)):
        path.write_bytes(whole[:length])
        try:
            list(read_pages(path, every=1))
        except Problem as problem:
            named += str(problem).startswith(f"{path}: ")
    assert named > 0


def test_a_page_of_a_pdf_that_would_fill_the_memory_is_refused_by_its_size(tmp_path):
    pytest.importorskip("pypdfium2")
    frames((72, 36))[0].save(tmp_path / "a.pdf", resolution=72)

    with pytest.raises(Problem, match=r"page 1 has 100,000 x 50,000 pixels at 100000 dpi.*give a lower --dpi"):
        list(read_pages(tmp_path / "a.pdf", dpi=100_000))


def test_later_pages_may_be_as_large_as_first_ones(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)

    assert means(path) == [(1, 0), (2, 80), (3, 160)]

    monkeypatch.setattr("craft.images.reader.MAX_PIXELS", 100)
    with pytest.raises(Problem, match="has 32 x 16 pixels, more than the 100"):
        list(read_pages(path))


def test_a_video_by_any_other_name_is_one(tmp_path, monkeypatch):
    content = b"\0\0\0\x18ftypisom" + bytes(40)
    (tmp_path / "clip.png").write_bytes(content)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    with pytest.raises(Problem, match="say which frames to search: --frames"):
        list(read_pages(tmp_path / "clip.png"))
    with pytest.raises(Problem, match="cannot be read as a video"):
        list(read_pages(tmp_path / "clip.png", every=5))
    with pytest.raises(Problem, match="give it as a file: videos are not read from standard input"):
        list(read_pages("-", every=5))
