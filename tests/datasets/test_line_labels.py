"""Labels of whole lines, as SCUT-CTW1500 and MSRA-TD500 publish them, and what becomes of them."""

import numpy as np
import pytest
from PIL import Image

from craft.cli.command import main
from craft.config import DatasetSettings
from craft.datasets.formats import format_of
from craft.datasets.jsonlines import read_json_lines, write_scenes
from craft.datasets.line_labels import read_ctw1500, read_td500
from craft.datasets.reading import read_dataset
from craft.models.weights import save_safetensors
from craft.targets.characters import with_characters
from craft.targets.lines import scene_lines
from tests.networks import lively_network

SEGS = "131,58,208,49,279,56,346,76,412,101,473,141,530,192,510,246,458,210,405,175,350,151,291,137,228,133,165,134"
CORNERS = np.array(SEGS.split(","), float).reshape(-1, 2).tolist()
# As in the readme of the dataset's second release, with a line that cannot be read.
TRAIN_XML = f"""<Annotations>
  <image file="0200.jpg">
    <box height="197" left="131" top="49" width="399">
      <label>OLATHE</label>
      <segs>{SEGS}</segs>
      <pts x="183" y="95" />
      <pts x="251" y="89" />
    </box>
    <box height="20" left="5" top="300" width="40">
      <label>###</label>
      <segs>{",".join(f"{x},{y}" for x, y in [*((5 + 6 * i, 300) for i in range(7)), *((41 - 6 * i, 320) for i in range(7))])}</segs>
    </box>
  </image>
</Annotations>
"""
OFFSETS = ",".join(f"{x - 131:.0f},{y - 49:.0f}" for x, y in CORNERS)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def picture(path, size=(600, 400)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path, format="JPEG")


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("0200.xml", TRAIN_XML, "OLATHE"),
        ("0001200.txt", f"{SEGS},####OLATHE, KS #1\n", "OLATHE, KS #1"),
        ("0200.txt", f"131,49,530,246,{OFFSETS}\n", None),
    ],
)
def test_lines_of_ctw1500_have_their_corners_in_all_three_releases(tmp_path, name, content, text):
    words, problems = read_ctw1500(write(tmp_path / name, content))

    assert problems == ()
    assert words[0].polygon_xy.tolist() == CORNERS
    assert (words[0].text, words[0].untranscribed) == (text, text is None)
    assert [(word.dont_care, word.untranscribed) for word in words[1:]] == [(True, False)] * (len(words) - 1)


def test_boxes_of_td500_turn_clockwise_about_their_centre(tmp_path):
    path = write(
        tmp_path / "IMG_0030.gt", "0 0 100 200 80 20 0.000000\n1 1 100 200 80 20 1.570796\n2 0 0 0 40 30 -0.5\n"
    )

    words, problems = read_td500(path)

    assert problems == ()
    np.testing.assert_allclose(words[0].polygon_xy, [[100, 200], [180, 200], [180, 220], [100, 220]])
    np.testing.assert_allclose(words[1].polygon_xy, [[150, 170], [150, 250], [130, 250], [130, 170]], atol=1e-4)
    assert words[2].polygon_xy[1, 1] < words[2].polygon_xy[0, 1]  # a negative angle rises to the right
    assert [word.untranscribed for word in words] == [True, False, True]


@pytest.mark.parametrize(
    ("read", "name", "line", "what"),
    [
        (read_ctw1500, "a.txt", "1,2,3,####x", "3 coordinates, wanted 28"),
        (read_ctw1500, "a.txt", "1,2,b,####x", "not a number"),
        (read_ctw1500, "a.xml", "<Annotations><box><label>x</label></box></Annotations>", "not a number"),
        (read_ctw1500, "a.xml", "<Annotations><box>", "not XML"),
        (read_td500, "a.gt", "0 0 1 2 3 4", "6 fields"),
        (read_td500, "a.gt", "0 0 1 2 0 4 0.1", "no area"),
        (read_td500, "a.gt", "0 0 1 2 3 4 nan", "not finite"),
    ],
)
def test_malformed_labels_are_reported_where_they_are(tmp_path, read, name, line, what):
    path = write(tmp_path / name, line)

    words, (problem,) = read(path)

    assert words == ()
    assert what in problem.what
    assert problem.where.startswith(str(path))
    assert read(write(path, ""))[0] == ()


def make_datasets(folder):
    picture(folder / "ctw" / "train_images" / "0200.jpg")
    write(folder / "ctw" / "ctw1500_train_labels" / "0200.xml", TRAIN_XML)
    picture(folder / "ctw" / "test_images" / "1001.jpg")
    write(folder / "ctw" / "gt_ctw1500" / "0001001.txt", f"{SEGS},####OLATHE\n")
    for part, number in (("train", 30), ("test", 59)):
        picture(folder / "td" / part / f"IMG_00{number}.JPG")
        write(folder / "td" / part / f"IMG_00{number}.gt", "0 0 100 200 80 20 0.1\n")


def test_official_folders_are_found_by_the_names_of_their_files(tmp_path):
    make_datasets(tmp_path)
    picture(tmp_path / "other" / "train" / "a.jpg")

    for name, format, scenes in (("ctw", "ctw1500", ["0200", "1001"]), ("td", "td500", ["IMG_0030", "IMG_0059"])):
        settings = DatasetSettings(path=str(tmp_path / name), split="all")
        reading = read_dataset(settings)
        assert reading.errors == ()
        assert [scene.name for scene in reading.scenes] == scenes
        assert format_of(settings).name == format
    with pytest.raises(ValueError, match="the format does not follow"):
        format_of(DatasetSettings(path=str(tmp_path / "other")))


def test_lines_without_text_train_lines_but_no_characters_and_survive_json_lines(tmp_path):
    make_datasets(tmp_path)
    (scene,) = read_dataset(DatasetSettings(path=str(tmp_path / "td"))).scenes
    write_scenes(tmp_path / "lines.jsonl", [scene])

    (back,) = read_json_lines(tmp_path / "lines.jsonl").scenes

    for one in (scene, back):
        ((polygon, ignored),) = scene_lines(one.words)
        assert not ignored
        np.testing.assert_allclose(polygon, scene.words[0].polygon_xy, atol=1e-3)
        assert with_characters(one).words[0].dont_care


@pytest.mark.slow
def test_a_link_refiner_trains_on_both(tmp_path, capsys):
    make_datasets(tmp_path)
    save_safetensors(lively_network(seed=2), tmp_path / "network.safetensors", {})
    options = ["--weights", str(tmp_path / "network.safetensors"), "--out", str(tmp_path / "lines.safetensors")]

    assert (
        main(["refine", str(tmp_path / "ctw"), str(tmp_path / "td"), *options, "--steps", "2", "--crop-size", "64"])
        == 0
    )
    assert "2 steps, loss" in capsys.readouterr().out
