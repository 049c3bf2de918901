"""Loads the plugins of installed packages that flags have named, and gives each its configuration."""

import math
from collections.abc import Collection, Iterable, Iterator

from pilothouse.admission import api
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.configuration import AdmissionConfiguration
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.api.configfile import ConfigurationError
from pilothouse.configuration.entry_points import Offered, offered
from pilothouse.gotext import quote
from pilothouse.logs import Logger
from pilothouse.offload import Turns

log = Logger(__name__)

OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")
FAILURE_POLICIES = ("Fail", "Ignore")
REINVOCATION_POLICIES = ("Never", "IfNeeded")
MOST_SECONDS = 30.0
"""The longest time that a plugin may have, as webhooks have at most."""


def load_hosted(
    names: Collection[str],
    configuration: AdmissionConfiguration,
    metrics: AdmissionMetrics,
    turns: Turns | None = None,
    packages: Iterable[Offered] | None = None,
) -> list[AdmissionPlugin]:
    """The plugins with these names, sorted by name; ConfigurationError when one cannot be used.

    configuration/sections/admission.py has refused names that no package, or more than one, offers.
    `packages` takes the place of what is installed.
    """
    if not names:
        return []
    from pilothouse.admission.installed.calls import Calls
    from pilothouse.admission.installed.hosted import Hosted

    out: list[AdmissionPlugin] = []
    for one, plugin in configured_plugins(names, configuration, packages):
        out += Hosted(one, plugin, Calls(one.name, turns or Turns()), metrics).halves()
        log.info("An admission plugin of a package is on", plugin=one.name, package=one.package)
    return out


def configured_plugins(
    names: Collection[str],
    configuration: AdmissionConfiguration,
    packages: Iterable[Offered] | None = None,
) -> Iterator[tuple[Offered, api.Plugin]]:
    """The plugins with these names, each with its section; ConfigurationError when one cannot be used."""
    from pilothouse.admission.installed.hosted import configured

    for one in offered() if packages is None else packages:
        if one.name not in names:
            continue
        try:
            yield one, configured(_loaded(one), configuration.section(one.name))
        except ConfigurationError as err:
            raise ConfigurationError(
                f"admission plugin {quote(one.name)} of the package {one.package}: {err}"
            ) from err


def _loaded(one: Offered) -> type[api.Plugin]:
    try:
        found = one.load()
    except (Exception, SystemExit) as err:
        raise ConfigurationError(f"{one.value} cannot be imported: {type(err).__name__}: {err}") from err
    if not (isinstance(found, type) and issubclass(found, api.Plugin)):
        raise ConfigurationError(f"{one.value} is no subclass of pilothouse.admission.api.Plugin")
    for problem in _problems(found):
        raise ConfigurationError(f"{one.value}: {problem}")
    return found


def _problems(cls: type[api.Plugin]) -> Iterable[str]:
    """The faults in the declarations of a class."""
    if cls.mutate is api.Plugin.mutate and cls.validate is api.Plugin.validate:
        yield "it has neither `mutate` nor `validate`"
    for name in ("operations", "resources", "reads"):
        given = getattr(cls, name)
        if isinstance(given, str) or not all(isinstance(one, str) for one in given):
            yield f"`{name}` must be a sequence of texts"
        elif name != "reads" and not given:
            yield f"`{name}` is empty"
    if wrong := [one for one in cls.operations if one not in OPERATIONS]:
        yield f"`operations`: {quote(wrong[0])} is none of {', '.join(OPERATIONS)}"
    seconds = cls.seconds
    if not isinstance(seconds, int | float) or not math.isfinite(seconds) or not 0 < seconds <= MOST_SECONDS:
        yield f"`seconds` must be above 0 and at most {MOST_SECONDS:g}"
    for name, allowed in (
        ("failure_policy", FAILURE_POLICIES),
        ("reinvocation_policy", REINVOCATION_POLICIES),
    ):
        if getattr(cls, name) not in allowed:
            yield f"`{name}` must be {' or '.join(allowed)}"
