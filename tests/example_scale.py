"""How many examples hypothesis tries of each property.

PILOTHOUSE_EXAMPLES multiplies their number; `make test-examples` tries twenty times as many as `make test`.
"""

import os

SCALE = int(os.environ.get("PILOTHOUSE_EXAMPLES", "1"))
DEFAULT = 50 * SCALE
"""Examples of a test that does not say how many."""
