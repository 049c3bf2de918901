"""Rules, defaults, warnings and printers of pods, workloads and networks take time linear in their input.

Every field of every kind is filled; see filled.py. A fast run is not repeated.
"""

import copy
import gc
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any

import filled
import orjson
import pytest
from complexity import MOST

from pilothouse.api import codec
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.validate.pod.policy import STRICT
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.identity import User
from pilothouse.errors import StatusError
from pilothouse.registry.allocators import ClusterIPAllocator
from pilothouse.registry.groups import apps, batch, discovery, networking
from pilothouse.registry.groups.core import resources as core
from pilothouse.registry.node_ports import NodePortAllocator
from pilothouse.registry.resource import Resource
from pilothouse.registry.strategy import Strategy, WriteContext
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.watchcache import Cacher

pytestmark = pytest.mark.slow

ENOUGH = 0.004
"""Seconds that the large input may take without a look at the small one."""

METADATA: Object = {"name": "p", "namespace": "default", "uid": "u", "labels": {"a": "b"}, "generation": 1}
SELECTOR: Object = {"matchLabels": {"a": "b"}}
CONTAINER: Object = {"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}
POD_SPEC: Object = {
    "containers": [CONTAINER],
    "initContainers": [{**CONTAINER, "name": "d"}],
    "affinity": {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": SELECTOR}]}
    },
    "topologySpreadConstraints": [{"labelSelector": SELECTOR, "topologyKey": "k"}],
    "securityContext": {"sysctls": [{"name": "a"}]},
    "resources": {"requests": {"cpu": "1"}},
    "dnsConfig": {"nameservers": ["10.0.0.1"]},
}
TEMPLATE: Object = {"metadata": {"labels": {"a": "b"}}, "spec": POD_SPEC}
JOB: Object = {
    "template": {**TEMPLATE, "spec": {**POD_SPEC, "restartPolicy": "Never"}},
    "completionMode": "Indexed",
    "completions": 1000000,
    "parallelism": 1,
}
BACKEND: Object = {"service": {"name": "s", "port": {"number": 80}}}
BLOCK: Object = {"cidr": "10.0.0.0/8"}
BASES: dict[str, Object] = {
    "pods": {"spec": POD_SPEC, "status": {"containerStatuses": [{"name": "c"}]}},
    "deployments": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    "statefulsets": {"spec": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "s"}},
    "daemonsets": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    "jobs": {"spec": JOB, "status": {}},
    "cronjobs": {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": JOB}}},
    "services": {"spec": {"type": "NodePort", "ports": [{"name": "n", "port": 80}]}, "status": {}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "n", "port": 80}]}]},
    "nodes": {"spec": {}, "status": {}},
    "persistentvolumes": {
        "spec": {"capacity": {"storage": "1"}, "accessModes": ["ReadWriteOnce"], "nfs": {}}
    },
    "persistentvolumeclaims": {
        "spec": {"resources": {"requests": {"storage": "1"}}, "accessModes": ["ReadWriteOnce"]},
        "status": {},
    },
    "replicationcontrollers": {"spec": {"selector": {"a": "b"}, "template": TEMPLATE}},
    "ingresses": {
        "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Exact", "backend": BACKEND}]}}]},
        "status": {"loadBalancer": {}},
    },
    "networkpolicies": {
        "spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": BLOCK}], "ports": [{"port": 80}]}]}
    },
    "endpointslices": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"port": 80}],
    },
}
LEFT_OUT = frozenset(("metadata", "kind", "apiVersion"))
"""Metadata has tests of its own."""
RECORDS = {r.plural: r for group in (core, apps, batch, networking, discovery) for r in group.RESOURCES}


def services() -> Any:
    storage = MemoryStorage()
    ports = NodePortAllocator(storage, Cacher(storage), SimpleNamespace(list=lambda resource: []))
    return SimpleNamespace(
        addresses=ClusterIPAllocator(["10.0.0.0/24", "fd00::/112"]),
        node_ports=ports,
        options=None,
        pod_policy=STRICT,
    )


def base(plural: str) -> tuple[Resource, Object]:
    record = RECORDS[plural]
    assert record.type_of is not None
    obj = {"apiVersion": record.api_version, "kind": record.kind, "metadata": METADATA, **BASES[plural]}
    return record, codec.prune(copy.deepcopy(obj), record.type_of())


def refused(call: Callable[[], Any]) -> None:
    """Call what may answer with an error of the API, and with no other."""
    try:
        call()
    except StatusError:
        pass


class Work:
    """The steps of a server with an object of a kind, all of them though an earlier one may refuse it."""

    def __init__(self, record: Resource) -> None:
        assert record.type_of is not None
        self.record = record
        self.type = record.type_of()
        self.status: Strategy | None = (
            record.subresources["status"].strategy if "status" in record.subresources else None
        )

    def _context(self) -> WriteContext:
        return WriteContext(
            User("admin"),
            "create",
            self.record,
            namespace="default",
            name="p",
            now=filled.TIME,
            services=services(),
        )

    def create(self, obj: Object) -> None:
        ctx, strategy, errs = self._context(), self.record.strategy, Errors()
        defaults.apply(obj, self.record.group, self.record.version, self.record.kind)
        self.record.table_columns().cells(obj, 0.0)
        if strategy.prepare_create is not None:
            prepare = strategy.prepare_create
            refused(lambda: prepare(ctx, obj))
        if strategy.validate is not None:
            strategy.validate(ctx, obj, errs)
        if strategy.warnings is not None:
            strategy.warnings(ctx, obj, None)

    def all(self, given: list[Object]) -> None:
        """A creation, an update that changes nothing, one that changes much."""
        new, same, equal, changed, old = given
        self.create(new)
        self.update(same, equal)
        self.update(changed, old)

    def update(self, obj: Object, old: Object) -> None:
        for strategy in (self.record.strategy, self.status):
            if strategy is None:
                continue
            ctx, errs = self._context(), Errors()
            if strategy.prepare_update is not None:
                refused(partial(strategy.prepare_update, ctx, obj, old))
            if strategy.validate_update is not None:
                strategy.validate_update(ctx, obj, old, errs)
            if strategy.warnings is not None:
                strategy.warnings(ctx, obj, old)


def check(call: Callable[[Any], None], make: Callable[[int], Any], n: int, what: str) -> None:
    """Whether ten times as much takes at most MOST times as long; what looks worse is measured thoroughly."""
    large = took(call, make(10 * n))
    if large <= ENOUGH or large <= MOST * took(call, make(n)):
        return
    try:
        filled.linear(call, make, n)
    except AssertionError as err:
        raise AssertionError(f"{what}: {err}") from None


def took(call: Callable[[Any], None], given: Any) -> float:
    started = time.thread_time()
    call(given)
    return time.thread_time() - started


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def kinds() -> Iterable[str]:
    return BASES


def inputs(plural: str, source: Callable[..., Any]) -> tuple[Work, Any]:
    record, start = base(plural)
    assert record.type_of is not None
    whole = plural == "pods" or (plural == "deployments" and source is filled.together)
    left_out = LEFT_OUT if whole else LEFT_OUT | {"template"}  # a pod is enough of pods
    return Work(record), source(record.type_of(), start, left_out)


def run(plural: str, source: Callable[..., Any], n: int, stride: int = 1) -> None:
    """Check what the source finds of a kind, each `stride`-th of it; the strides miss no field."""
    work, found = inputs(plural, source)
    for what, make in islice(found, 0, None, stride):

        def given(n: int, make: filled.Make = make) -> list[Object]:
            """An object to create, and (new, old) of an update by itself and of one that changes much."""
            new = codec.prune(make(n), work.type)
            same = orjson.loads(orjson.dumps(new))
            defaults.apply(same, work.record.group, work.record.version, work.record.kind)
            equal, old = (orjson.loads(whole) for whole in [orjson.dumps(same)] * 2)
            return [new, same, equal, filled.changed(old), old]

        check(work.all, given, n, f"{plural} {what}")


@pytest.mark.parametrize("plural", kinds())
def test_many_items(plural: str) -> None:
    run(plural, filled.collections, 40, stride=7)


@pytest.mark.parametrize("plural", kinds())
def test_many_items_of_all_lists(plural: str) -> None:
    run(plural, filled.together, 20)


@pytest.mark.parametrize("plural", kinds())
def test_long_texts(plural: str) -> None:
    run(plural, filled.texts, 300, stride=29)
