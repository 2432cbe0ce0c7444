"""`python -m craft` and `torchrun -m craft`."""

import sys

from craft.cli import main

sys.exit(main())
