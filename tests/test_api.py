"""The public names of the package."""

import subprocess
import sys

import pytest

import craft


@pytest.mark.parametrize("name", craft.__all__)
def test_every_public_name_can_be_imported_and_is_listed(name):
    assert getattr(craft, name) is not None
    assert name in dir(craft)


def test_importing_craft_loads_neither_torch_nor_numpy():
    program = "import sys, craft; print({'torch', 'numpy', 'cv2'} & set(sys.modules))"

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "set()"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Detektor'"):
        _ = craft.Detektor
