"""Imports what a start has left out, so that the first requests which need it do not wait for it."""

import asyncio
import sys
from importlib import import_module

from pilothouse.lifecycle import BackgroundTask

AFTER = 1.0
"""Seconds from the start of the server, which the first requests have for themselves."""
MODULES = (
    "pilothouse.api.validate.pod.spec",
    "pilothouse.api.validate.pod.status",
    "pilothouse.api.validate.pod.update",
    "pilothouse.api.validate.pod.warnings",
    "pilothouse.api.validate.apps",
    "pilothouse.api.validate.secret",
    "pilothouse.api.validate.policies",
    "pilothouse.controllers.policy_types",
    "pilothouse.admission.policies.validating",
    "pilothouse.admission.policies.mutating",
    "pilothouse.admission.webhooks.mutating",
    "pilothouse.admission.webhooks.validating",
)
"""With what they import: rules of pods and workloads, policies, webhooks, and the language of expressions."""


class Preload(BackgroundTask):
    """Imports the modules on a thread, once for all servers of a process."""

    def __init__(self, after: float = AFTER) -> None:
        self._after = after

    async def _run(self) -> None:
        await asyncio.sleep(self._after)
        for name in MODULES:
            if name not in sys.modules:
                await asyncio.to_thread(import_module, name)
