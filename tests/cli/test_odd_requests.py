"""Requests that people make by mistake are refused in one line, before any work, with what to do."""

import pytest
import yaml

from craft.cli.command import main
from craft.config_files import load_yaml
from craft.detection.detector import Detector
from craft.detection.export import detect_paths
from craft.detection.network_input import resize_and_pad
from craft.detection.result_names import result_names


@pytest.fixture
def refusal(capsys):
    """What a command says, in one line, that ends with status 2."""

    def run(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr().err
        assert status == 2
        assert "Traceback" not in printed
        assert "pydantic" not in printed
        return printed.strip().splitlines()[-1]

    return run


@pytest.mark.parametrize(
    "words",
    [
        ["check", ""], ["show", "", "--out", "x"], ["label", "", "--weights", "small", "--out", "x.jsonl"],
        ["pack", "", "--out", "x"], ["pack", "x", "--out", ""], ["detect", ""], ["detect", "x", "--out", ""],
        ["train", ""], ["train", "x", "--out", ""], ["bench", ""], ["compare", ""], ["convert", "small", ""],
        ["synth", "--out", ""], ["evaluate", "--truth", "", "--protocol", "icdar2015"],
    ],
)  # fmt: skip
def test_an_empty_path_is_not_this_folder(refusal, words):
    assert "the path is empty; is a variable of the command unset?" in refusal(*words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "--preset", "quickstart", "--seed", "-1"], "-1 is below 0"),
        (["show", "x", "--out", "y", "--count", "-3"], "-3 is below 1"),
        (["synth", "--out", "y", "--seed", "-1"], "-1 is below 0"),
        (
            ["synth", "--out", "y", "--preset", "quickstart", "--set", "words=[5,1]"],
            "words is [5, 1], from high to low",
        ),
        (["check", "x", "--numbers", "5", "1"], "numbers are [5, 1], the first above the last; swap them"),
        (["check", "--preset", "quickstart", "--count", "x"], "invalid"),
        (["synth", "--sheet", "y.txt"], "y.txt has no ending of an image; name a .png or .jpg file"),
        (["detect", "x", "--weights", "."], "is a folder; give the file of weights in it"),
    ],
)
def test_what_cannot_be_is_named(refusal, words, message):
    assert message in refusal(*words)


def test_more_than_the_memory_ends_an_image_and_not_the_folder(tmp_path, monkeypatch, refusal, tiny_set):
    errors = [MemoryError("Unable to allocate 7.99 PiB"), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")]

    def resize(image, size_hw):
        if errors:
            raise errors.pop()
        return resize_and_pad(image, size_hw)

    monkeypatch.setattr("craft.detection.scored_image.resize_and_pad", resize)
    images = [tiny_set / "ch8_training_images_1" / f"img_{number}.png" for number in (1, 2, 3)]

    run = detect_paths(Detector.from_weights("small", device="cpu"), images, tmp_path / "out", progress=False)

    assert run.num_images == 1
    assert ["not enough memory" in str(failure) for failure in run.failures] == [True, True]


def test_a_training_without_memory_says_what_to_make_smaller(tmp_path, monkeypatch, refusal):
    def fail(*_arguments, **_names):
        raise RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 39200000000"
        )

    monkeypatch.setattr("craft.training.loop.train", fail)
    (tmp_path / "config.yaml").write_text("")

    assert "smaller training.batch_size" in refusal("train", tmp_path / "config.yaml", "--out", tmp_path / "run")


def test_long_names_have_results(tmp_path, tiny_set):
    image = tmp_path / ("\u6c49" * 80 + ".png")  # 244 bytes
    image.write_bytes((tiny_set / "ch8_training_images_1" / "img_1.png").read_bytes())
    other = tmp_path / ("\u6c49" * 79 + "\u5b57.png")
    other.write_bytes(image.read_bytes())

    run = detect_paths(
        Detector.from_weights("small", device="cpu"),
        [image, other],
        tmp_path / "out",
        formats=("json", "icdar", "csv"),
        draw=True,
        progress=False,
    )

    assert run.failures == ()
    assert len(list((tmp_path / "out").iterdir())) == 7
    assert len(set(result_names([image, other]))) == 2


def test_files_are_written_into_folders_that_are_not_there_yet(tmp_path, tiny_set):
    out = tmp_path / "new" / "folder" / "small.safetensors"

    assert main(["convert", "small-synth", str(out)]) == 0

    assert out.is_file()


@pytest.mark.parametrize("text", ["training: {steps: 1}\ntraining: {steps: 2}\n", "a: [{b: 1, b: 2}]"])
def test_a_key_that_is_given_twice_is_refused(text):
    with pytest.raises(yaml.YAMLError, match="is given twice"):
        load_yaml(text)


def test_a_merged_key_may_be_given_again():
    assert load_yaml("base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}")["more"] == {"a": 1, "b": 3}


def test_synth_does_not_hide_a_dataset_of_another_origin(tmp_path, tiny_set, refusal):
    assert "did not write" in refusal("synth", "--out", tiny_set, "--preset", "quickstart", "--count", "1")


def test_synth_leaves_no_scene_of_an_earlier_dataset(tmp_path):
    for count in ("3", "1"):
        assert main(["synth", "--out", str(tmp_path / "set"), "--preset", "quickstart", "--count", count]) == 0

    assert main(["check", str(tmp_path / "set"), "--format", "icdar2017"]) == 0
    assert sorted(path.name for path in (tmp_path / "set").rglob("*img*.*")) == ["gt_img_1.txt", "img_1.jpg"]
