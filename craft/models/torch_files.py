"""Files of torch.save, read only where their checksums fit: torch writes these and does not look at them."""

import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

DAMAGED = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading such a file raises where it is damaged."""


def load_checked(path: Path, *, device: torch.device | str = "cpu", old_format: bool = False) -> Any:
    """Load what torch.save wrote, tensors and plain values only, once every checksum in the file fits.

    `old_format` also takes files of torch before 1.6, which have no checksums. Raises one of `DAMAGED`.
    """
    if path.exists() and not zipfile.is_zipfile(path):
        if not old_format:
            raise ValueError("it is cut short or of another format")
    else:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"damaged, {damaged} has another checksum than when it was written")
    return torch.load(str(path), map_location=device, weights_only=True)
