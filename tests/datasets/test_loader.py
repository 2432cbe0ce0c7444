"""Batches: the same bits for any number of loader processes, resumable, and clear about images that cannot be read."""

import os
import shutil
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from craft.config import AugmentSettings
from craft.datasets.loader import batches_ahead, build_loader
from craft.datasets.scene_dataset import SceneDataset
from craft.scene import Scene, Word

AUGMENT = AugmentSettings(colour=0.5, noise=0.5, jpeg=0.5, blur=0.5)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    made = []
    for number in range(7):
        path = folder / f"img_{number}.jpg"
        cv2.imwrite(str(path), generator.integers(0, 256, (90, 120, 3), dtype=np.uint8))
        left, top = generator.integers(0, 60, size=2)
        quad = np.array([[left, top], [left + 40, top], [left + 40, top + 15], [left, top + 15]], dtype=np.float32)
        to_left = np.array([[0, 0], [20, 0], [20, 0], [0, 0]])
        halves = np.stack([quad - to_left, quad + to_left[[1, 0, 3, 2]]])
        words = (Word(quad, "ab", character_quads_xy=halves.astype(np.float32)), Word(quad + 10, dont_care=True))
        made.append(Scene(str(path), words[:number], f"img_{number}"))  # the first has no words, the second one
    return made


def load(scenes, count, **changes):
    fields = {
        "seed": 5,
        "crop_size": 64,
        "augment": AUGMENT,
        "batch_size": 4,
        "workers": 0,
        "start_position": 0,
    } | changes
    loader = build_loader([(scenes[:4], 1.0), (scenes[4:], 2.0)], **fields)
    return list(islice(loader, count))


def assert_same(first, second):
    for name in first.__dataclass_fields__:
        one, other = getattr(first, name), getattr(second, name)
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), name
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("workers", [1, 3])
def test_loader_processes_do_not_change_a_bit(scenes, workers):
    for alone, together in zip(load(scenes, 5), load(scenes, 5, workers=workers), strict=True):
        assert_same(alone, together)


def test_starting_later_continues_the_stream(scenes):
    for whole, continued in zip(load(scenes, 5)[2:], load(scenes, 3, start_position=8), strict=True):
        assert_same(whole, continued)


def test_two_ranks_share_what_one_process_sees(scenes):
    whole = load(scenes, 3)
    halves = [load(scenes, 3, batch_size=2, world_size=2, rank=rank) for rank in (0, 1)]

    for step in range(3):
        images = torch.cat([halves[0][step].images, halves[1][step].images])
        assert torch.equal(whole[step].images, images)
        assert whole[step].names == halves[0][step].names + halves[1][step].names
        assert whole[step].seeds.tolist() == halves[0][step].seeds.tolist() + halves[1][step].seeds.tolist()


def test_a_scene_comes_with_another_crop_in_the_next_epoch(scenes):
    dataset = SceneDataset([(scenes[1:2], 1.0)], seed=0, crop_size=64, augment=AUGMENT)

    first, second = dataset[(0, 0)], dataset[(1, 0)]

    assert first.name == second.name == "img_1"
    assert first.seed != second.seed
    assert (first.image != second.image).any()
    np.testing.assert_array_equal(first.image, dataset[(0, 0)].image)


def test_the_global_generators_are_left_alone(scenes):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)

    load(scenes, 2)

    assert torch.equal(torch.rand(1), expected)


def test_images_are_uint8_in_channels_last_memory(scenes):
    images = load(scenes, 1)[0].images

    assert images.shape == (4, 3, 64, 64)
    assert images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_named(tmp_path, workers):
    path = tmp_path / "img_9.jpg"
    path.write_bytes(b"no picture")
    loader = build_loader(
        [([Scene(str(path), (), "img_9")], 1.0)],
        seed=0,
        crop_size=64,
        augment=None,
        batch_size=1,
        workers=workers,
        start_position=0,
    )

    with pytest.raises(ValueError, match=r"img_9\.jpg"):
        next(loader)


def test_an_image_that_disappeared_is_named(tmp_path):
    dataset = SceneDataset([([Scene(str(tmp_path / "gone.jpg"), (), "gone")], 1.0)], seed=0, crop_size=64, augment=None)

    with pytest.raises(ValueError, match=r"gone\.jpg: cannot be read"):
        dataset[(0, 0)]


def test_kept_files_are_not_read_again_and_the_limit_holds(scenes, tmp_path):
    paths = [tmp_path / f"img_{number}.jpg" for number in range(2)]
    for path, scene in zip(paths, scenes[:2], strict=True):
        shutil.copy(scene.image_path, path)
    copies = [Scene(str(path), (), path.stem) for path in paths]
    limit = max(path.stat().st_size for path in paths)
    dataset = SceneDataset([(copies, 1.0)], seed=0, crop_size=64, augment=None, cache_bytes=limit)
    first, second = (dataset.scene(0, position).image_path for position in (0, 1))
    samples = [dataset[(0, 0)], dataset[(0, 1)]]

    paths[0].unlink()
    paths[1].unlink()

    np.testing.assert_array_equal(dataset[(0, 0)].image, samples[0].image)
    assert first != second
    with pytest.raises(ValueError, match="cannot be read"):
        dataset[(0, 1)]


def test_no_dataset_is_refused():
    with pytest.raises(ValueError, match="no training dataset"):
        SceneDataset([], seed=0, crop_size=64, augment=None)


ABANDONED = """
import multiprocessing, sys, time
from craft.datasets.loader import batches_ahead, build_loader
from craft.scene import Scene, Word
import numpy as np
quads = np.tile(np.array([[2, 2], [30, 2], [30, 12], [2, 12]], dtype=np.float32), (3000, 1, 1))
words = (Word(quads[0], character_quads_xy=quads),)  # batches that fill a pipe
scene = Scene(sys.argv[1], words, "img_0")
fields = {"seed": 0, "crop_size": 64, "augment": None, "batch_size": 4}
loader = build_loader([([scene], 1.0)], workers=2, start_position=0, **fields)
next(loader)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
time.sleep(300)
"""


@pytest.mark.slow
def test_loader_processes_end_with_a_training_process_that_is_killed(scenes):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-W", "ignore", "-c", ABANDONED, scenes[0].image_path]
    training = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert training.stdout is not None
    loaders = [int(number) for number in training.stdout.readline().split()]

    training.kill()
    training.wait()

    assert len(loaders) == 2
    left_at = time.monotonic() + 60
    while any(is_running(pid) for pid in loaders) and time.monotonic() < left_at:
        time.sleep(0.2)
    assert not any(is_running(pid) for pid in loaders)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "code", "last_line"),
    [
        ("pass", 0, []),
        ("raise MemoryError('an error that nobody catches')", 1, ["MemoryError: an error that nobody catches"]),
        ("import gc; cycle = [loader]; cycle.append(cycle); del loader, cycle; gc.collect()", 0, []),
        ("second = build_loader([([scene], 1.0)], workers=1, start_position=0, **fields); next(second)", 0, []),
    ],
)
def test_a_process_that_still_holds_its_loader_can_exit(scenes, ending, code, last_line):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    script = ABANDONED.replace("time.sleep(300)", ending)
    command = [sys.executable, "-W", "ignore", "-c", script, scenes[0].image_path]

    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)

    assert (done.returncode, done.stderr.strip().splitlines()[-1:]) == (code, last_line)
    loaders = [int(number) for number in done.stdout.split()]
    assert len(loaders) == 2
    assert not any(is_running(pid) for pid in loaders)


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # ended, and waiting for somebody to ask how


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pinning_keeps_values_and_memory_order(scenes):
    batch = load(scenes, 1)[0]

    pinned = batch.pin_memory()

    assert pinned.images.is_pinned()
    assert pinned.images.is_contiguous(memory_format=torch.channels_last)
    assert_same(batch, pinned)


@pytest.mark.parametrize(("free_mib", "ahead"), [(1000, 3), (80, 1), (120, 2)])
def test_fewer_batches_are_kept_ready_where_shared_memory_is_small(monkeypatch, free_mib, ahead):
    monkeypatch.setattr("craft.datasets.loader._SHARED_MEMORY", Path("/"))
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=free_mib * 2**20))

    # 90 % of the memory holds free_mib * 0.9 // 10 batches, of which training has two and four processes the others.
    assert batches_ahead(4, batch_bytes=10 * 2**20) == ahead


def test_too_little_shared_memory_is_refused_with_the_remedies(monkeypatch):
    monkeypatch.setattr("craft.datasets.loader._SHARED_MEMORY", Path("/"))
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=64 * 2**20))

    with pytest.raises(ValueError, match=r"64 MiB free, but 4 .* 133 MiB.* data\.workers: 0 .* --shm-size"):
        batches_ahead(4, batch_bytes=20 * 2**20)


def test_loader_processes_share_the_memory_for_files(scenes, monkeypatch):
    kept = []

    class Recorded(SceneDataset):
        def __init__(self, *arguments, cache_bytes, **names):
            kept.append(cache_bytes)
            super().__init__(*arguments, cache_bytes=cache_bytes, **names)

    monkeypatch.setattr("craft.datasets.loader.SceneDataset", Recorded)
    for workers in (0, 2):
        build_loader(
            [(scenes, 1.0)], seed=0, crop_size=64, augment=None, batch_size=1, workers=workers, start_position=0,
            cache_bytes=1000,
        )  # fmt: skip

    assert kept == [1000, 500]
