from typing import get_args

from craft.config import DatasetFormat
from craft.datasets.formats import FORMATS


def test_every_format_of_the_settings_but_synth_has_a_reader():
    assert set(FORMATS) == set(get_args(DatasetFormat)) - {"synth"}
