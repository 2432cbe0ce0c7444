"""The bank of false positives: what a resumed run reads back, and what it refuses."""

import pytest
import torch

from craft.region.bootstrapping import FOLDER, FalsePositives, load_collections


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
