"""Runs a server whose history takes over changes after a second instead of a minute."""

import sys

from pilothouse.cli import main
from pilothouse.history import recorder

assert recorder.HistoryRecorder.__init__.__kwdefaults__ is not None
recorder.HistoryRecorder.__init__.__kwdefaults__["settled"] = 1.0
recorder.POLL = 0.2
sys.exit(main())
