"""The device and the precision that the network runs in, and the memory it took there."""

import torch

from craft import memory


def choose_device(name: str, *, remedy: str = "use --device cpu") -> torch.device:
    """Choose a device by name: "auto" (cuda, else mps, else cpu), "cpu", "cuda", "cuda:1" or "mps".

    Raises ValueError if the device is not available, or the name is unknown.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device {name!r} is unknown; use auto, cpu, cuda, cuda:1 or mps") from None
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    missing = device.type == "cuda" and (device.index or 0) >= count
    if missing or (device.type == "mps" and not torch.backends.mps.is_available()):
        raise ValueError(f"device {name!r} is not available to torch here; {remedy}")
    return device


def computes_bf16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 in hardware: CUDA from Ampere on, and CPUs with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        # These probes are not public in every torch release that we support; without them float32 is the safe answer.
        probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return any(probe() for probe in probes if probe is not None)
    return False


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Choose what autocast computes in, torch.bfloat16 or torch.float32, by name: "auto", "fp32" or "bf16".

    Raises ValueError for another name.
    """
    if name == "auto":
        return torch.bfloat16 if computes_bf16(device) else torch.float32
    if name not in ("fp32", "bf16"):
        raise ValueError(f"precision {name!r} is unknown; use auto, fp32 or bf16")
    return torch.bfloat16 if name == "bf16" else torch.float32


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory that tensors took on a CUDA device; on other devices, the most that this process has held."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else memory.peak_memory_bytes()
