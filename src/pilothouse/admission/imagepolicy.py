"""ImagePolicyWebhook: a service decides which images pods may use
(kubernetes plugin/pkg/admission/imagepolicy)."""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from pilothouse.admission.about import WRITES, About
from pilothouse.admission.annotations import annotate
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api import json
from pilothouse.api.changes import patch
from pilothouse.api.configfile import ConfigurationError
from pilothouse.api.values.duration import show_duration
from pilothouse.api.values.fields import Object
from pilothouse.logs import Logger
from pilothouse.offload import INLINE
from pilothouse.outbound.http import Outbound
from pilothouse.outbound.kubeconfig import read_kubeconfig
from pilothouse.outbound.webhook import HEADERS, SECONDS, WebhookError, WebhookTarget, post, query_for
from pilothouse.registry.admission import AdmissionAttributes

log = Logger(__name__)

NAME = "ImagePolicyWebhook"
AUDIT = "imagepolicywebhook.image-policy.k8s.io/"
FAILED_OPEN = "alpha.image-policy.k8s.io/failed-open"
"""The annotation of pods that were let in because the service has failed."""
VERSION, KIND = "imagepolicy.k8s.io/v1alpha1", "ImageReview"
ANSWER_BYTES = 1 << 20
"""Bytes of the longest answer that is read."""
STEPS, FACTOR, JITTER = 5, 1.5, 0.2
"""How often the service is asked, and how the pauses between grow."""
KEPT, KEPT_BYTES = 1024, 4096
"""Answers that are remembered, and the bytes of the largest such one."""


class ImagePolicySettings(NamedTuple):
    """The settings of the plugin; times in seconds."""

    kubeconfig: str
    allow_ttl: float
    deny_ttl: float
    backoff: float
    default_allow: bool


def read(section: Object | None) -> ImagePolicySettings:
    """The settings in a section of the admission configuration; ConfigurationError."""
    if section is None:
        raise ConfigurationError("no config specified")
    found = section.get("imagePolicy") or {}
    if not isinstance(found, dict):
        raise ConfigurationError("imagePolicy: it must be an object")
    milli, second, minute = 10**6, 10**9, 60 * 10**9
    backoff = _duration(found, "retryBackoff", milli, 1, 5 * minute, 500 * milli)
    allow = _duration(found, "allowTTL", second, second, 30 * minute, 5 * minute)
    deny = _duration(found, "denyTTL", second, second, 30 * minute, 30 * second)
    return ImagePolicySettings(
        str(found.get("kubeConfigFile") or ""), allow, deny, backoff, found.get("defaultAllow") is True
    )


def _duration(found: Object, name: str, scale: int, least: int, most: int, default: int) -> float:
    """Seconds of a number in nanoseconds times `scale`:
    0 is the default, -1 switches it off; ConfigurationError."""
    value = found.get(name) or 0
    if type(value) is not int:
        raise ConfigurationError(f"imagePolicy.{name}: it must be a number")
    if value == -1:
        return 0.0
    if value == 0:
        return default / 1e9
    if not least < value * scale <= most:
        low, high, got = (show_duration(one) for one in (least, most, value * scale))
        raise ConfigurationError(f"valid value is between {low} and {high}, got {got}")
    return value * scale / 1e9


class ImagePolicyWebhook(AdmissionPlugin):
    """Asks the service that a kubeconfig names about the images of each pod that is written."""

    name = NAME
    about = (About(WRITES, ("pods", "pods/ephemeralcontainers")),)

    def __init__(
        self,
        section: Object | None,
        outbound: Outbound,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings: ImagePolicySettings
        self._target: WebhookTarget
        self._outbound = outbound
        self._clock = clock
        self._sleep = sleep
        self._known: OrderedDict[bytes, tuple[float, Object]] = OrderedDict()
        self.prepare(section)()

    def prepare(self, section: Object | None) -> Callable[[], None]:
        settings = read(section)
        try:
            url, headers, trust = read_kubeconfig(Path(settings.kubeconfig))
        except (OSError, ValueError) as err:
            raise ConfigurationError(str(err)) from None
        url += query_for(SECONDS)
        target = WebhookTarget(url, url, (*HEADERS[:2], *headers), trust)

        def use() -> None:
            self._settings, self._target = settings, target
            self._known.clear()

        return use

    async def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = _spec(a.obj, a.subresource, a.namespace)
        data = json.dump(spec)
        key = blake2b(data, digest_size=32).digest()
        status, target = self._remembered(key), self._target
        if status is None:
            try:
                status = await self._ask(a, spec)
            except WebhookError as err:
                self._failed(a, a.obj, err)
                return
            if target is self._target:
                self._remember(key, status)
        for name, value in (status.get("auditAnnotations") or {}).items():
            annotate(a, f"{AUDIT}{name}", value or "")
        if not status.get("allowed"):
            reason = status.get("reason")
            raise a.refuse(
                f"image policy webhook backend denied one or more images: {reason}"
                if reason
                else "one or more images rejected by webhook backend"
            )

    def _failed(self, a: AdmissionAttributes, pod: Object, err: WebhookError) -> None:
        """Let the pod in, or refuse it, as the settings say."""
        log.warning("Error contacting the image policy webhook", err=err)
        if not self._settings.default_allow:
            raise a.refuse(str(err))
        annotate(a, f"{AUDIT}failed-open", "true")
        metadata = pod["metadata"]
        metadata["annotations"] = {**(metadata.get("annotations") or {}), FAILED_OPEN: "true"}

    async def _ask(self, a: AdmissionAttributes, spec: Object) -> Object:
        """The status of the service's answer; after failures that may pass it is asked again.
        WebhookError."""
        review = {
            "kind": KIND,
            "apiVersion": VERSION,
            "metadata": {},
            "spec": spec,
            "status": {"allowed": False},
        }
        body, pause = json.dump(review), self._settings.backoff
        for step in range(STEPS):
            try:
                data = await post(self._outbound, self._target, body, SECONDS, ANSWER_BYTES)
                break
            except WebhookError as err:
                if step == STEPS - 1 or not _may_pass(err):
                    raise
            await self._sleep(pause * (1 + JITTER * random.random()))
            pause *= FACTOR
        if len(data) > INLINE:
            await a.work.enter(len(data))
        return await a.work.run(_status, data)

    def _remembered(self, key: bytes) -> Object | None:
        until, status = self._known.get(key, (0.0, None))
        return status if until > self._clock() else None

    def _remember(self, key: bytes, status: Object) -> None:
        seconds = self._settings.allow_ttl if status.get("allowed") else self._settings.deny_ttl
        if seconds <= 0 or len(json.dump(status)) > KEPT_BYTES:
            return
        self._known[key] = self._clock() + seconds, status
        self._known.move_to_end(key)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)


def _spec(pod: Object, subresource: str, namespace: str) -> Object:
    """The question for the service: the images, and the annotations that are for it."""
    spec = pod.get("spec") or {}
    members = ("ephemeralContainers",) if subresource else ("containers", "initContainers")
    containers = [one for member in members for one in spec.get(member) or ()]
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    out: Object = {
        "containers": [{"image": one["image"]} if one.get("image") else {} for one in containers],
        "annotations": {k: v for k, v in sorted(annotations.items()) if ".image-policy.k8s.io/" in k},
        "namespace": namespace,
    }
    return {name: value for name, value in out.items() if value}


def _status(data: bytes) -> Object:
    """The status of an ImageReview; WebhookError for anything else."""
    try:
        review = json.parse(data)
    except (json.ScanError, json.DecodeError) as err:
        raise WebhookError(f"couldn't get version/kind; json parse error: {err}") from None
    kind = review.get("kind") or KIND if isinstance(review, dict) else ""
    version = review.get("apiVersion") or VERSION if isinstance(review, dict) else ""
    if (kind, version) != (KIND, VERSION):
        raise WebhookError(
            f'no kind "{kind}" is registered for version "{version}" in scheme'
            ' "pkg/api/legacyscheme/scheme.go:30"'
        )
    status = review.get("status") or {}
    for name, wanted, go in (
        ("allowed", bool, "bool"),
        ("reason", str, "string"),
        ("auditAnnotations", dict, "map[string]string"),
    ):
        _expect(status, name, wanted, go)
    for value in (status.get("auditAnnotations") or {}).values():
        _expect({"auditAnnotations": value}, "auditAnnotations", str, "string")
    return status if isinstance(status, dict) else {}


def _expect(status: Any, name: str, wanted: type, go: str) -> None:
    value = status.get(name) if isinstance(status, dict) else status
    if value is not None and not isinstance(value, wanted):
        raise WebhookError(
            f"json: cannot unmarshal {patch.go_kind(value)} into Go struct field ImageReview.status.{name} of"
            f" type {go}"
        )


def _may_pass(err: WebhookError) -> bool:
    """Whether to ask again (util/webhook DefaultShouldRetry)."""
    if err.code == 503:
        return str(err).endswith("connection reset by peer")
    return err.code == 429 or err.code >= 500
