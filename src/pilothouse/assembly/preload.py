"""Imports what a start has left out, so that the first requests which need it do not wait for it."""

import asyncio
import sys
from importlib import import_module

from pilothouse.lifecycle import BackgroundTask

SOON, AFTER = 0.05, 1.0
"""Seconds from the start of the server, which the first requests have for themselves."""
CERTIFICATES = ("cryptography.x509",)
"""For the first client with a certificate."""
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

    def __init__(self, after: float = AFTER, soon: float = SOON) -> None:
        self._waits = (soon, CERTIFICATES), (after, MODULES)

    async def _run(self) -> None:
        for seconds, names in self._waits:
            await asyncio.sleep(seconds)
            for name in names:
                if name not in sys.modules:
                    await asyncio.to_thread(import_module, name)
