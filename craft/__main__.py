"""`python -m craft` and `torchrun -m craft`."""

import sys

from craft.cli.command import main

sys.exit(main())
