"""PodSecurityConfiguration: the policy of namespaces without labels, and who is exempt (admission/api)."""

from typing import NamedTuple

from pilothouse.admission.podsecurity.policy import (
    MODES,
    PRIVILEGED,
    VERSION_PROBLEM,
    LevelVersion,
    PodSecurityLevels,
    level_problem,
    parse_version,
)
from pilothouse.api.configfile import expect, refuse, refuse_unknown
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

VERSIONS = tuple(
    f"pod-security.admission.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1")
)


class Configuration(NamedTuple):
    """The settings of the plugin; what is exempt is neither refused nor audited nor warned of."""

    defaults: PodSecurityLevels = PodSecurityLevels()
    usernames: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    runtime_classes: frozenset[str] = frozenset()


def read(section: Object | None) -> Configuration:
    """The settings in a section of the admission configuration; ConfigurationError with every cause."""
    if section is None:
        return Configuration()
    expect(section, VERSIONS, "PodSecurityConfiguration", ("defaults", "exemptions"))
    members = [f"{mode}{suffix}" for mode in MODES for suffix in ("", "-version")]
    defaults = refuse_unknown(section.get("defaults"), members, "defaults.")
    exempt = refuse_unknown(
        section.get("exemptions"), ("usernames", "namespaces", "runtimeClasses"), "exemptions."
    )
    errs = Errors()
    levels = {mode: _level(defaults, mode, errs) for mode in ("enforce", "warn", "audit")}
    namespaces = _exempt(exempt, "namespaces", errs)
    classes = _exempt(exempt, "runtimeClasses", errs)
    users = _exempt(exempt, "usernames", errs)
    refuse(errs)
    return Configuration(PodSecurityLevels(**levels), users, namespaces, classes)


def _level(defaults: Object, mode: str, errs: Errors) -> LevelVersion:
    level = defaults.get(mode) or PRIVILEGED
    if problem := level_problem(level):
        errs.invalid(f"defaults.{mode}", level, problem)
    text = defaults.get(f"{mode}-version") or "latest"
    version = parse_version(text) if isinstance(text, str) else None
    if version is None:
        errs.invalid(f"defaults.{mode}-version", text, VERSION_PROBLEM)
        version = 0
    return LevelVersion(level, version)


def _exempt(exempt: Object, member: str, errs: Errors) -> frozenset[str]:
    found: set[str] = set()
    for at, name in enumerate(exempt.get(member) or ()):
        path = f"exemptions.{member}[{at}]"
        if problem := _problem(member, name):
            errs.invalid(path, name, problem)
        elif name in found:
            errs.add("FieldValueDuplicate", path, f'Duplicate value: "{name}"')
        else:
            found.add(name)
    return frozenset(found)


def _problem(member: str, name: str) -> str:
    if member == "usernames":
        return "" if name else "username must not be empty"
    check = names.dns_label if member == "namespaces" else names.dns_subdomain
    return ", ".join(check(name))
