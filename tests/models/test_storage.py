"""Weights in 8 bits: no weight moves by more than half a step, and a file that is not whole is refused."""

import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.torch import load_file, save_file
from torch import Tensor

from craft.models.craft import CRAFT
from craft.models.storage import FEWEST_PACKED, pack_int8, restore_float, storage_note
from craft.models.weights import build_model, read_weights, save_safetensors

KERNEL, SMALL_KERNEL = "basenet.slice5.1.weight", "basenet.slice1.0.weight"


def state(seed: int = 0) -> dict[str, Tensor]:
    return CRAFT(0.25, generator=torch.Generator().manual_seed(seed)).state_dict()


def restored(values: Tensor) -> Tensor:
    packed = pack_int8({"layer.weight": values}, fewest=1)
    return restore_float(packed, storage_note(packed), source="a file")["layer.weight"]


def reference(channel: list[float]) -> list[float]:
    """One output channel, weight by weight, in double precision."""
    step = max(abs(value) for value in channel) / 127
    return [round(value / step) * step if step else 0.0 for value in channel]


def test_a_channel_packed_by_hand():
    values = torch.tensor([[1.27, -0.004, 0.006, 0.125], [0.0, 0.0, 0.0, 0.0]])

    packed = pack_int8({"layer.weight": values}, fewest=1)

    assert packed["layer.weight"].tolist() == [[127, 0, 1, 12], [0, 0, 0, 0]]  # 0.125 / 0.01 is 12.5, to the even one
    assert packed["layer.weight"].dtype == torch.int8
    torch.testing.assert_close(packed["layer.weight.scale"][0], torch.tensor(0.01))
    torch.testing.assert_close(restored(values), torch.tensor([[1.27, 0.0, 0.01, 0.12], [0.0, 0.0, 0.0, 0.0]]))


@settings(max_examples=150, deadline=None)
@given(arrays.arrays(np.float32, (3, 2, 3, 3), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_no_weight_moves_by_more_than_half_a_step(values):
    found = restored(torch.from_numpy(values)).numpy().astype(np.float64)

    exact = values.astype(np.float64)
    for channel, was in zip(found, exact, strict=True):
        step = max(np.abs(was).max() / 127, float(np.finfo(np.float32).tiny))
        assert np.abs(channel - was).max() <= 0.5001 * step


def test_channels_of_ordinary_size_equal_the_reference():
    values = torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(1))

    expected = [reference(channel.flatten().tolist()) for channel in values]

    found = restored(values).flatten(1)
    steps = values.flatten(1).abs().amax(dim=1, keepdim=True) / 127
    # Weights that lie half-way but for rounding may go to either side.
    assert float(((found - torch.tensor(expected)).abs() > 1e-3 * steps).float().mean()) < 1e-3


@pytest.mark.parametrize("size", [1e-36, 1e-38, 1e-40, 1e-44])
def test_tiny_channels_stay_tiny(size):
    values = torch.tensor([[size, -size / 2], [1.0, 0.5]])

    found = restored(values)

    step = max(size / 127, float(torch.finfo(torch.float32).tiny))
    assert float((found[0] - values[0]).abs().max()) <= 0.5001 * step
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[1], values[1], atol=0.5 / 127, rtol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kernel", [KERNEL, SMALL_KERNEL])
def test_weights_that_are_not_finite_are_refused_by_name(bad, kernel):
    broken = state()
    broken[kernel][0, 0, 0, 0] = bad

    with pytest.raises(ValueError, match=rf"{kernel} holds NaN or infinity"):
        pack_int8(broken)


def test_only_kernels_and_matrices_are_packed():
    held = state()

    packed = pack_int8(held, fewest=1)

    for name, value in held.items():
        if value.ndim >= 2:
            assert packed[name].dtype == torch.int8
            assert packed[name + ".scale"].shape == value.shape[:1]
        else:
            assert torch.equal(packed[name], value)
    assert sum(value.ndim >= 2 for value in held.values()) == len(packed) - len(held) == 27


def test_small_kernels_stay_in_float():
    held = state()

    packed = pack_int8(held)

    large = {name for name, value in held.items() if value.ndim >= 2 and value.numel() >= FEWEST_PACKED}
    assert {name for name, value in packed.items() if value.dtype == torch.int8} == large
    assert KERNEL in large
    assert torch.equal(packed[SMALL_KERNEL], held[SMALL_KERNEL])


def test_a_tensor_without_elements_stays_as_it_is():
    held = {"layer.weight": torch.zeros(0, 3, 3, 3)}

    assert pack_int8(held)["layer.weight"].dtype == torch.float32


def test_a_file_in_8_bits_is_read_as_the_network_it_holds(tmp_path):
    held = state()
    metadata = {"width": 0.25, "detection": {"text_threshold": 0.6}}
    save_safetensors(held, tmp_path / "float.safetensors", metadata)
    save_safetensors(held, tmp_path / "int8.safetensors", metadata, storage="int8")

    weights = read_weights(tmp_path / "int8.safetensors")

    assert (weights.storage, read_weights(tmp_path / "float.safetensors").storage) == ("int8", "float")
    assert weights.metadata == metadata
    assert weights.state.keys() == held.keys()
    for name, value in held.items():
        assert weights.state[name].dtype == value.dtype
        step = value.flatten(1).abs().amax(dim=1).reshape(-1, 1, 1, 1) / 127 if value.ndim == 4 else torch.tensor(0)
        assert bool(((weights.state[name] - value).abs() <= 0.5001 * step).all()), name
    assert build_model(weights).width == 0.25
    sizes = [(tmp_path / f"{kind}.safetensors").stat().st_size for kind in ("int8", "float")]
    assert sizes[0] < 0.45 * sizes[1]


def test_packing_what_was_restored_changes_nothing_more(tmp_path):
    save_safetensors(state(), tmp_path / "once.safetensors", {}, storage="int8")
    once = read_weights(tmp_path / "once.safetensors").state
    save_safetensors(once, tmp_path / "twice.safetensors", {}, storage="int8")

    twice = read_weights(tmp_path / "twice.safetensors").state

    for name, value in once.items():
        torch.testing.assert_close(twice[name], value, rtol=3e-7, atol=0)


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "small.safetensors"
    save_safetensors(state(), path, {}, storage="int8")
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(ValueError, match=r"small\.safetensors: cannot be read .* again"):
        read_weights(path)


@pytest.mark.parametrize("storage", ["float", "int8"])
@pytest.mark.parametrize("place", [0.01, 0.5, 0.999])
def test_a_file_with_one_wrong_byte_is_refused(tmp_path, place, storage):
    path = tmp_path / "small.safetensors"
    save_safetensors(state(), path, {}, storage=storage)
    content = bytearray(path.read_bytes())
    (header,) = struct.unpack("<Q", content[:8])
    first = 8 + header
    content[first + int(place * (len(content) - first))] ^= 0x40
    path.write_bytes(content)

    with pytest.raises(ValueError, match="damaged"):
        read_weights(path)


@pytest.mark.parametrize("storage", ["float", "int8"])
def test_a_threshold_that_changed_in_the_file_is_refused(tmp_path, storage):
    path = tmp_path / "small.safetensors"
    save_safetensors(state(), path, {"detection": {"text_threshold": 0.6}}, storage=storage)
    path.write_bytes(path.read_bytes().replace(b"0.6", b"0.4", 1))

    with pytest.raises(ValueError, match=r"small\.safetensors: damaged"):
        read_weights(path)


def test_8_bit_tensors_without_storage_metadata_are_refused(tmp_path):
    path = tmp_path / "small.safetensors"
    save_safetensors(state(), path, {}, storage="int8")
    save_file(load_file(path), tmp_path / "bare.safetensors")

    with pytest.raises(ValueError, match=r"in 8 bits, but the file does not say how"):
        read_weights(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (json.dumps({"format": "int8", "version": 2, "digest": ""}), "version 2, and this craft reads .* update craft"),
        (json.dumps({"format": "int4", "version": 1, "digest": ""}), "stored as int4"),
        (json.dumps({"format": "int8"}), "cannot be read"),
        (json.dumps(["int8"]), "cannot be read"),
        ("{", "cannot be read"),
    ],
)
def test_another_storage_format_is_refused(note, message):
    with pytest.raises(ValueError, match=message):
        restore_float(pack_int8(state()), note, source="small.safetensors")
