"""`python -m elicit`: what a launcher of several processes starts (`accelerate launch -m elicit ...`)."""

import sys

from elicit.cli import main

sys.exit(main())
