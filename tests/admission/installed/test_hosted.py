"""Plugins of packages in the chain: what they see, what they change, what their failures do."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from eventually import aeventually
from harness import Rig, is_asked

from pilothouse import errors
from pilothouse.admission.api import AdmissionRequest, Invalid, Object, Plugin, Refused
from pilothouse.admission.chain import Chain
from pilothouse.admission.installed.calls import Calls
from pilothouse.admission.installed.hosted import Hosted
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.api.configfile import ConfigurationError
from pilothouse.configuration.entry_points import Offered
from pilothouse.offload import Turns


class Base(Plugin):
    resources = ("pods",)

    def __init__(self) -> None:
        super().__init__({})


class Made:
    def __init__(self) -> None:
        self.metrics = AdmissionMetrics()
        self.chains: list[Chain] = []
        self.calls: list[Calls] = []

    def __call__(self, *plugins: Any) -> Chain:
        halves = []
        for plugin in plugins:
            name = type(plugin).__name__
            self.calls.append(Calls(name, Turns()))
            offered = Offered(name, f"x:{name}", "x 1.0")
            halves += Hosted(offered, plugin, self.calls[-1], self.metrics).halves()
        return Chain(halves, self.metrics)

    def failures(self, name: str, half: str, reason: str) -> float:
        start = (
            f'pilothouse_admission_plugin_failures_total{{name="{name}",reason="{reason}",type="{half}"}} '
        )
        found = [line for line in self.metrics.plugin_failures.text().splitlines() if line.startswith(start)]
        return float(found[0].removeprefix(start)) if found else 0


@pytest.fixture
def chain(runner: asyncio.Runner) -> Iterator[Made]:
    made = Made()
    yield made
    for calls in made.calls:
        calls.close()


def pod(**labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }


class Labels(Base):
    def mutate(self, request: AdmissionRequest) -> None:
        request.object["metadata"]["labels"]["by"] = request.user.name
        request.warn("labelled")
        request.audit("by", request.user.name)


class Replaces(Base):
    async def mutate(self, request: AdmissionRequest) -> Object:
        await asyncio.sleep(0)
        spec = {"containers": [{"name": "d", "image": "j"}]}
        return {**request.object, "spec": spec}


async def test_a_plugin_changes_the_object(rig: Rig, chain: Made) -> None:
    a = rig.attributes(pod(app="web"))
    given = a.obj
    found = await chain(Labels()).mutate(a)
    assert found["metadata"]["labels"] == {"app": "web", "by": a.user.name}
    assert given["metadata"]["labels"] == {"app": "web"}, "the plugin had a copy"
    assert a.warnings == ["labelled"] and a.annotations == {"Labels/by": a.user.name}
    assert a.reinvocation.needed


async def test_a_replaced_object_gets_its_defaults(rig: Rig, chain: Made) -> None:
    found = await chain(Replaces()).mutate(rig.attributes(pod()))
    assert found["spec"]["containers"][0]["terminationMessagePolicy"] == "File"


async def test_what_changes_nothing_costs_no_second_round(rig: Rig, chain: Made) -> None:
    class Looks(Base):
        def mutate(self, request: AdmissionRequest) -> Object:
            return request.object

    a = rig.attributes(pod())
    before = a.obj
    assert await chain(Looks()).mutate(a) is before and a.reinvocation is None


@pytest.mark.parametrize(("policy", "times"), [("Never", 1), ("IfNeeded", 2)])
async def test_reinvocation(rig: Rig, chain: Made, policy: Any, times: int) -> None:
    class First(Base):
        reinvocation_policy = policy
        seen = 0

        def mutate(self, request: AdmissionRequest) -> None:
            self.seen += 1

    first = First()
    await chain(first, Labels()).mutate(rig.attributes(pod()))
    assert first.seen == times
    await chain(alone := First()).mutate(rig.attributes(pod()))
    assert alone.seen == 1


async def test_the_request_is_that_of_a_review(rig: Rig, chain: Made) -> None:
    seen = []

    class Looks(Base):
        operations = ("UPDATE", "DELETE")
        reads = ("namespaces",)

        def validate(self, request: AdmissionRequest) -> None:
            seen.append(request)
            assert request.readers.get("namespaces", "", request.namespace)

    looking = chain(Looks())
    await looking.validate(rig.attributes(pod(a="b")))
    await looking.validate(rig.attributes(pod(a="c"), pod(a="b")))
    await looking.validate(rig.attributes(None, pod(), operation="DELETE"))
    update, delete = seen
    assert (update.operation, update.kind, update.resource, update.group_resource) == (
        "UPDATE",
        "Pod",
        "pods",
        "pods",
    )
    assert update.object["metadata"]["labels"] == {"a": "c"}
    assert update.old_object["metadata"]["labels"] == {"a": "b"}
    assert delete.object is None and delete.old_object is not None and delete.name == "x"


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        (("pods",), {"pods": True, "pods/status": False, "deployments.apps": False}),
        (("pods/status",), {"pods": False, "pods/status": True}),
        (("*",), {"pods": True, "pods/status": False, "deployments.apps": True}),
        (("*/*",), {"pods": True, "pods/status": True, "deployments.apps/scale": True}),
        (("deployments.apps/scale",), {"deployments.apps": False, "deployments.apps/scale": True}),
        (("deployments",), {"deployments.apps": False}),
    ],
)
async def test_a_plugin_is_asked_about_its_resources(
    rig: Rig, chain: Made, resources: Any, wanted: dict[str, bool]
) -> None:
    Base.resources, kept = resources, Base.resources
    try:
        hosted = chain(Labels()).plugins[0]
        kinds = {"pods": ("", "v1", "pods"), "deployments.apps": ("apps", "v1", "deployments")}
        for text, expected in wanted.items():
            resource, _, subresource = text.partition("/")
            a = rig.attributes(pod(), resource=kinds[resource], subresource=subresource)
            assert is_asked(hosted, a) is expected, text
    finally:
        Base.resources = kept


class Refuses(Base):
    error: Any = None

    def validate(self, request: AdmissionRequest) -> None:
        request.warn("look")
        raise self.error


async def test_refusals(rig: Rig, chain: Made) -> None:
    plugin = Refuses()
    cause = {"reason": "FieldValueInvalid", "field": "spec", "message": "no"}
    plugin.error = Refused("too many", [cause])
    a = rig.attributes(pod())
    with pytest.raises(errors.Forbidden) as caught:
        await chain(plugin).validate(a)
    assert caught.value.message == 'pods "x" is forbidden: too many'
    assert caught.value.details["causes"] == [cause] and a.warnings == ["look"]
    plugin.error = Invalid("wrong")
    with pytest.raises(Invalid):
        await chain(plugin).validate(rig.attributes(pod()))
    assert chain.failures("Refuses", "validate", "error") == 0


async def test_a_bug_is_a_500_that_names_the_plugin(rig: Rig, chain: Made, caplog: Any) -> None:
    plugin = Refuses()
    plugin.error = KeyError("secret")
    with pytest.raises(errors.InternalError) as caught:
        await chain(plugin).validate(rig.attributes(pod()))
    assert caught.value.message == (
        'Internal error occurred: failed calling admission plugin "Refuses": it has raised KeyError'
    )
    assert caplog.records[-1].exc_info[1] is plugin.error
    assert chain.failures("Refuses", "validate", "error") == 1


async def test_what_is_no_object_is_a_bug(rig: Rig, chain: Made) -> None:
    class Odd(Base):
        made: Any = None

        def mutate(self, request: AdmissionRequest) -> Any:
            return self.made

    bad: list[Any] = [[], {"a": {1}}, asyncio.sleep]
    for made in bad:
        plugin = Odd()
        plugin.made = made
        with pytest.raises(errors.InternalError, match='"Odd": it has raised TypeError'):
            await chain(plugin).mutate(rig.attributes(pod()))
    plugin.made = {**pod(), "spec": {"containres": []}}
    with pytest.raises(errors.InternalError, match=r'"Odd": .*unknown field "spec\.containres"'):
        await chain(plugin).mutate(rig.attributes(pod()))
    assert chain.failures("Odd", "admit", "object") == 1


@pytest.mark.parametrize("half", ["mutate", "validate"])
async def test_failures_that_are_ignored(rig: Rig, chain: Made, half: str) -> None:
    class Ignored(Base):
        failure_policy = "Ignore"

        def mutate(self, request: AdmissionRequest) -> None:
            request.object.clear()
            raise KeyError

        async def validate(self, request: AdmissionRequest) -> None:
            raise KeyError

    a = rig.attributes(pod())
    await getattr(chain(Ignored()), half)(a)
    assert a.obj == pod()
    assert chain.failures("Ignored", "admit" if half == "mutate" else "validate", "error") == 1


class Slow(Base):
    seconds = 0.001

    def __init__(self) -> None:
        super().__init__()
        self.blocked = threading.Event()

    def mutate(self, request: AdmissionRequest) -> None:
        self.blocked.wait()
        request.object["metadata"]["labels"]["late"] = "yes"


@pytest.mark.skipif(
    sys.gettrace() is not None, reason="CPython 3.11: what is traced waits for an exception of another thread"
)
async def test_a_plugin_that_takes_too_long(rig: Rig, chain: Made) -> None:
    class Skipped(Slow):
        failure_policy = "Ignore"

    slow, skipped = Slow(), Skipped()
    with pytest.raises(errors.InternalError) as caught:
        await chain(slow).mutate(rig.attributes(pod()))
    assert caught.value.message.endswith('admission plugin "Slow": it has not answered within 0.001s')
    a = rig.attributes(pod())
    await chain(skipped).mutate(a)
    slow.blocked.set()
    skipped.blocked.set()
    assert a.obj == pod() and chain.failures("Skipped", "admit", "timeout") == 1


async def test_a_plugin_is_timed_under_its_name(rig: Rig, chain: Made) -> None:
    await chain(Labels()).mutate(rig.attributes(pod()))
    assert 'name="Labels"' in chain.metrics.plugins.text()


async def test_plugins_are_closed(rig: Rig, chain: Made) -> None:
    class Holds(Base):
        closed = ""

        def validate(self, request: AdmissionRequest) -> None:
            return None

        async def close(self) -> None:
            self.closed = threading.current_thread().name

    held = Holds()
    await chain(held).close()
    assert held.closed == "admission Holds"


async def test_a_plugin_is_made_anew_for_another_section(rig: Rig, chain: Made) -> None:
    """Both halves get it; the former one is closed when its calls have had their time."""

    class Holds(Plugin):
        resources = ("pods",)
        seconds = 0.05
        configuration_schema: ClassVar[Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}
        closed: ClassVar[list[Any]] = []

        def mutate(self, request: AdmissionRequest) -> None:
            request.object["metadata"]["labels"]["a"] = str(self.configuration.get("a"))

        def validate(self, request: AdmissionRequest) -> None:
            request.audit("a", str(self.configuration.get("a")))

        def close(self) -> None:
            self.closed.append(self.configuration.get("a"))

    made = chain(Holds({"a": 1}))
    with pytest.raises(ConfigurationError, match=r'plugin "Holds" of the package .*: a: Invalid'):
        [half.prepare({"a": "x"}) for half in made.plugins]
    for use in [half.prepare({"a": 2}) for half in made.plugins]:
        use()
    asked = rig.attributes(pod())
    changed = await made.mutate(asked)
    await made.validate(asked)
    assert changed["metadata"]["labels"] == {"a": "2"} and asked.annotations == {"Holds/a": "2"}
    assert Holds.closed == []
    await aeventually(lambda: Holds.closed == [1], "the end of the former one")
    for use in [half.prepare({"a": 3}) for half in made.plugins]:
        use()
    await made.close()
    assert Holds.closed == [1, 2, 3], "nobody waits at the end"
