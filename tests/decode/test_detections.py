"""What `Detections` can be asked for."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from craft.config import DetectionSettings
from craft.decode.decode import decode_maps, to_pixels
from craft.decode.detections import Detections
from craft.decode.polygons import word_polygons
from craft.decode.words import words_from_maps
from tests.decode.reference import bent_word, draw_word


def two_words(**changes) -> Detections:
    quads = np.array([[[60, 0], [100, 0], [100, 10], [60, 10]], [[0, 0], [50, 0], [50, 20], [0, 20]]], np.float32)
    fields = {"polygons_xy": list(quads), "character_quads_xy": [quads[:1], quads], "size_hw": (40, 120), **changes}
    return Detections(quads, np.array([0.9, 0.5], np.float32), raw_scores=np.array([0.6, 0.4], np.float32), **fields)


def test_words_are_reached_by_index_slice_mask_and_iteration():
    found = two_words()

    assert [word.score for word in found] == pytest.approx([0.9, 0.5])
    assert found[-1].raw_score == pytest.approx(0.4)
    np.testing.assert_array_equal(found[0].polygon_xy, found.quads_xy[0])
    for fewer in (found[1:], found[found.scores < 0.6], found[[1]], found[np.array([1])], found[[False, True]]):
        assert len(fewer) == len(fewer.polygons_xy) == len(fewer.character_quads_xy) == 1
        assert fewer.raw_scores.tolist() == found.raw_scores[1:].tolist()
        np.testing.assert_array_equal(fewer.quads_xy, found.quads_xy[1:])
        np.testing.assert_array_equal(fewer.polygons_xy, found.polygons_xy[1:])
    assert len(found[[]]) == 0
    for wrong in (2, [2], [True], None, np.True_, 0.5, "1"):
        with pytest.raises(IndexError):
            found[wrong]


def test_filters_keep_words_by_score_and_size():
    assert two_words().filter(least_score=0.6).scores.tolist() == pytest.approx([0.9])
    assert two_words().filter(least_side=15).scores.tolist() == pytest.approx([0.5])
    assert len(two_words().filter(least_score=0.5, least_side=10)) == 2  # at the limit is enough
    assert len(two_words()[[]].filter(least_side=1)) == 0


def test_plain_values_are_in_reading_order_and_name_their_schema():
    values = two_words(image_path="a.png", dropped={"least_side": 3}).to_dict()

    assert (values["schema"], values["version"]) == ("craft-detections", 2)
    assert (values["image"], values["height"], values["width"], values["dropped"]) == (
        "a.png",
        40,
        120,
        {"least_side": 3},
    )
    assert [word["score"] for word in values["words"]] == [0.5, 0.9]
    assert [(word["line"], word["block"]) for word in values["words"]] == [(1, 1), (2, 2)]
    assert values["words"][0]["quad"] == [[0, 0], [50, 0], [50, 20], [0, 20]]


def test_repr_says_how_many_words_there_are_and_which_were_dropped():
    assert repr(two_words(dropped={"least_side": 3})) == (
        "<Detections: 2 words in 120 x 40 pixels, 3 dropped by least_side>"
    )


def test_a_notebook_gets_a_drawing_with_or_without_the_image(tmp_path):
    Image.new("RGB", (120, 40), "grey").save(tmp_path / "a.png")
    grey = Image.open(io.BytesIO(two_words(image_path=str(tmp_path / "a.png"))._repr_png_()))
    white = Image.open(io.BytesIO(two_words()._repr_png_()))

    assert grey.size == white.size == (120, 40)
    assert grey.getpixel((110, 30)) == (128, 128, 128)
    assert white.getpixel((110, 30)) == (255, 255, 255)
    assert Image.open(io.BytesIO(two_words(size_hw=None)[[]]._repr_png_())).size == (32, 32)


def test_a_notebook_gets_a_drawing_where_the_image_is_gone(tmp_path):
    gone = two_words(image_path=str(tmp_path / "gone.png"))

    assert gone._repr_png_() == two_words()._repr_png_()


def test_words_are_drawn_over_an_image_in_any_form(tmp_path):
    image = Image.new("L", (120, 40), 128)
    image.save(tmp_path / "a.png")

    drawings = [two_words().draw(form) for form in (tmp_path / "a.png", image, np.full((40, 120), 128, np.uint8))]

    assert [drawn.shape for drawn in drawings] == [(40, 120, 3)] * 3
    assert (drawings[0] == drawings[1]).all()
    assert (drawings[0] == drawings[2]).all()
    with pytest.raises(ValueError, match="image has the type float64; pass uint8"):
        two_words().draw(np.zeros((40, 120, 3)))


def test_the_outline_of_a_small_word_leaves_the_word_and_its_neighbours_to_be_seen():
    def drawn(height: float) -> np.ndarray:
        quad = np.array([[[10, 10], [70, 10], [70, 10 + height], [10, 10 + height]]], np.float32)
        return Detections(quad, np.ones(1, np.float32)).draw(np.full((100, 100, 3), 255, np.uint8))

    small, large = (drawn(height)[:, 40] for height in (13, 60))  # a column through the middle

    assert (small.max(axis=1) > 200).all()  # no dark edge
    assert (small == 255).all(axis=1).sum() >= 100 - 2 * 3  # two lines, at most three pixels each, smoothed
    assert (large.max(axis=1) < 100).any()  # on any ground


def test_a_table_without_pandas_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(ValueError, match="to_dataframe needs pandas; pip install pandas"):
        two_words().to_dataframe()


def test_a_table_has_a_row_for_each_word():
    pytest.importorskip("pandas")

    table = two_words().to_dataframe()

    assert table["score"].tolist() == [0.5, 0.9]
    assert table["x3"].tolist() == [50, 100]
    assert len(two_words()[[]].to_dataframe()) == 0


@pytest.mark.parametrize(
    ("settings", "dropped"),
    [
        ({}, {}),
        ({"least_side": 30.0}, {"least_side": 1}),
        ({"least_score": 0.8}, {"least_score": 1}),
        ({"least_score": 0.8, "least_side": 30.0}, {"least_score": 1, "least_side": 1}),
    ],
)
def test_words_that_filters_drop_are_counted(settings, dropped):
    region = np.zeros((80, 120), np.float32)
    region[4:10, 10:40] = 0.9  # low
    region[40:70, 10:60] = 0.75  # faint

    found = words_from_maps(region, np.zeros_like(region), np.ones(2), settings=DetectionSettings(**settings))

    assert found.dropped == dropped
    assert len(found) == 2 - sum(dropped.values())


def test_polygons_are_widened_by_the_low_threshold_of_the_settings():
    _, characters = bent_word(10, height=24, bend=1.0, turn=0.0)
    columns, rows = (characters.reshape(-1, 2).max(axis=0) + 20).astype(int) // 2
    maps = draw_word(characters, map_size_hw=(rows, columns))

    found = words_from_maps(*maps, np.ones(2), settings=DetectionSettings(low_text=0.5), polygons=True)

    (expected,) = word_polygons(decode_maps(*maps, low_text=0.5), low_text=0.5)
    np.testing.assert_allclose(found.polygons_xy[0], to_pixels(expected, rule="centre"), atol=1e-3)
