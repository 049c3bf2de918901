"""--runtime-config: selects the built-in versions and resources that a server serves
(apiserver resourceconfig)."""

from collections.abc import Iterable, Mapping

from pilothouse.registry.resource import Resource
from pilothouse.registry.versions import stage_of

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class RuntimeConfigError(ValueError):
    """--runtime-config is invalid; the message is upstream's."""


class RuntimeConfig:
    """The parsed --runtime-config."""

    def __init__(self, settings: Mapping[str, str], resources: Iterable[Resource]) -> None:
        self._settings = {_core(key): value for key, value in settings.items()}
        self._known = {(r.group, r.version) for r in resources}
        for key in self._settings:
            self._check(key)

    def enabled(self, resource: Resource) -> bool:
        """Whether a resource is served: its own setting decides first,
        then its version's, then the general ones."""
        if not self._settings:
            return True
        prefix = f"{resource.group}/{resource.version}"
        for key in (f"{prefix}/{resource.plural}", prefix):
            if key in self._settings:
                return _parse_bool(key, self._settings[key])
        out = True
        for key, applies in _general_settings(resource.version):
            if applies and key in self._settings:
                out = self._settings[key] == "true"
        return out

    def _check(self, key: str) -> None:
        value = self._settings[key]
        if key in ("api/all", "api/ga", "api/beta", "api/alpha"):
            if value not in ("true", "false"):
                raise RuntimeConfigError(f"invalid value {key}={value}")
            return
        tokens = key.split("/")
        if len(tokens) not in (2, 3):
            raise RuntimeConfigError(f"runtime-config invalid key {key}")
        group, version = tokens[:2]
        if not any(g == group for g, _ in self._known):
            raise RuntimeConfigError(f"unknown api groups {group}")
        if (group, version) not in self._known:
            raise RuntimeConfigError(f"group version {group}/{version} that has not been registered")
        _parse_bool(key, value)
        if len(tokens) == 3 and tokens[2].lower() != tokens[2]:
            raise RuntimeConfigError(
                f"invalid key {key}: group/version/resource and resource is always lowercase plural, "
                f'not "{tokens[2]}"'
            )


def _core(key: str) -> str:
    """The key as versions of resources are named here:
    those of the core group have an empty group, not `api`."""
    return key.removeprefix("api") if key == "api/v1" or key.startswith("api/v1/") else key


def _general_settings(version: str) -> list[tuple[str, bool]]:
    """The general keys (api/all, api/ga ...), weakest first, and whether each applies to this version."""
    return [
        ("api/all", True),
        *((f"api/{stage}", stage == stage_of(version)) for stage in ("ga", "beta", "alpha")),
    ]


def _parse_bool(key: str, value: str) -> bool:
    if value == "" or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise RuntimeConfigError(
        f'invalid value of {key}: {value}, err: strconv.ParseBool: parsing "{value}": invalid syntax'
    )
