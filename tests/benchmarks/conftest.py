"""The scripts of benchmarks/studies and tools import one another by name, as they do when they are run."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[2] / folder) for folder in ("benchmarks/studies", "tools")]
