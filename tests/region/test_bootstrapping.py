"""Bootstrapping: what is collected, when and over which crops, and what a step draws from the bank."""

from types import SimpleNamespace

import pytest
import torch

from craft.config import validate_config
from craft.distributed.processes import start_processes
from craft.models.craft import CRAFT
from craft.models.region_head import add_region_path
from craft.region import bootstrapping, training
from craft.region.bootstrapping import (
    FOLDER,
    FalsePositives,
    _false_positive_features,
    draw_negatives,
    load_collections,
)
from craft.region.proposals import label_proposals
from craft.region.training import RegionTraining, architecture_of
from tests.region.test_training import SMALL
from tests.training.test_step import first_batch

CPU = torch.device("cpu")


class Head:
    """Takes a box for text by the number that it holds at the box's left side, and pools the box itself."""

    def __init__(self, logits_by_left):
        self.logits_by_left = logits_by_left

    def __call__(self, _levels, boxes):
        logits = torch.tensor([self.logits_by_left[int(box[0])] for image in boxes for box in image])
        return logits, torch.zeros(len(logits), 4)

    def pool(self, _levels, boxes):
        return torch.cat(list(boxes))


def test_only_background_that_the_head_takes_for_text_is_collected():
    from craft.region.roi_labels import WordBoxes

    words = WordBoxes(torch.tensor([[0.0, 0, 20, 10]]), torch.zeros(0, 4))
    boxes = torch.tensor([[0.0, 0, 20, 10], [30, 0, 50, 10], [60, 0, 80, 10], [90, 0, 110, 10]])
    head = Head({0: 4.0, 30: 2.0, 60: -2.0, 90: 3.0})

    found = _false_positive_features(SimpleNamespace(head=head), {}, [label_proposals([boxes], words)])

    assert found[:, 0].tolist() == [90, 30]  # the worst first; neither the word nor what passes for background


def test_a_quarter_of_the_rois_of_a_step_come_from_the_bank_and_there_are_no_more_than_asked():
    bank = FalsePositives()
    assert draw_negatives(bank, 16, images=3, seed=1) == (16, None)
    bank.add(torch.arange(40.0).reshape(20, 2).half())

    count, drawn = draw_negatives(bank, 16, images=3, seed=1)

    assert count == 12
    assert drawn.shape == (12, 2)
    assert torch.equal(drawn, draw_negatives(bank, 16, images=3, seed=1)[1])


def test_the_oldest_are_dropped_where_the_bank_is_full(monkeypatch):
    monkeypatch.setattr(bootstrapping, "MOST_KEPT", 3)
    bank = FalsePositives()
    bank.add(torch.tensor([[1.0], [2.0]]).half())
    bank.add(torch.tensor([[3.0], [4.0]]).half())

    assert set(bank.draw(50, seed=0).flatten().tolist()) == {2, 3, 4}


def test_a_resumed_run_takes_up_earlier_collections_of_its_rank_alone(tmp_path):
    folder = tmp_path / "bootstrap"
    folder.mkdir()
    for step, rank in ((2, 0), (4, 0), (2, 1)):
        torch.save(torch.full((1, 1), float(10 * step + rank)).half(), folder / f"step_{step:06d}_rank_{rank}.pt")
    bank = FalsePositives()

    load_collections(bank, tmp_path, before_step=4, rank=0)

    assert bank.draw(5, seed=0).flatten().tolist() == [20] * 5  # that of step 4 is made again


@pytest.fixture
def regions(tiny_values, tmp_path):
    region = {**SMALL, "sampler": "bootstrap", "train": "alone", "bootstrap_every": 3, "bootstrap_crops": 5}
    config = validate_config({**tiny_values, "region": region}, where="test")
    model = CRAFT(0.0625, generator=torch.Generator().manual_seed(0))
    add_region_path(model, architecture_of(config.region), seed=0)
    return RegionTraining(config, model, [], tmp_path, start_processes("cpu")), model


def test_collections_are_due_every_so_many_steps_and_see_other_crops_each_time(regions, monkeypatch):
    region, model = regions
    starts = []
    monkeypatch.setattr(training, "build_loader", lambda _sets, *, start_position, **_: starts.append(start_position))
    monkeypatch.setattr(training, "collect_false_positives", lambda *_arguments, **_names: {})

    assert [step for step in range(10) if region.collects_before(step)] == [3, 6, 9]
    for step in (3, 6, 9):
        region.collect(model, step)

    assert starts == [0, 6, 12]  # five crops are three batches of two


def test_the_head_and_the_proposal_network_both_learn_and_the_log_counts_rois_per_image(regions, tiny_values):
    region, model = regions
    batch = first_batch(tiny_values)
    maps, levels = model(batch.images.float() / 255)

    region.loss(maps, levels, batch).backward()

    for part in (region.path.head, region.path.proposals):
        assert any(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in part.parameters())
    read = region.meter.read()
    assert 0 < read["region_mined"] <= SMALL["rois_per_image"]
    assert read["region_rois"] <= sum(SMALL["proposals"].values())
    assert region.meter.read()["region_rois"] == 0  # reading starts anew


def test_rois_are_counted_per_image_whatever_the_batch(regions, tiny_values):
    region, model = regions
    batch = first_batch(tiny_values)
    num_images = len(batch.images)
    maps, levels = model(batch.images.float() / 255)
    added = []
    add = region.meter.add
    region.meter.add = lambda loss, proposals, rois: added.extend(rois) or add(loss, proposals, rois)

    region.loss(maps, levels, batch)

    assert num_images == 2
    assert region.meter.read()["region_rois"] == pytest.approx(sum(map(len, added)) / num_images)


def write_collection(folder, step, content):
    (folder / FOLDER).mkdir(exist_ok=True)
    torch.save(content, str(folder / FOLDER / f"step_{step:06d}_rank_0.pt"))
    return folder / FOLDER / f"step_{step:06d}_rank_0.pt"


def test_collections_of_earlier_steps_are_read_in_order(tmp_path):
    for step in (2, 4, 6):
        write_collection(tmp_path, step, torch.full((step, 3), float(step), dtype=torch.float16))
    bank = FalsePositives()

    load_collections(bank, tmp_path, before_step=6, rank=0)

    assert len(bank) == 2 + 4


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "other"])
def test_a_damaged_collection_is_refused_by_name(tmp_path, damage):
    path = write_collection(tmp_path, 2, torch.zeros(500, 40, dtype=torch.float16))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes({"flipped": content, "cut": content[:-200], "empty": b"", "other": b"<html>"}[damage])

    with pytest.raises(ValueError, match=r"step_000002_rank_0\.pt: false positives that cannot be read"):
        load_collections(FalsePositives(), tmp_path, before_step=6, rank=0)
