"""Whether the CEL expressions of policies and webhooks compile to what is wanted of them."""

from pilothouse.api.cel import admission
from pilothouse.api.cel.environment import CompileError, Environment, ProgramError, ResultError
from pilothouse.api.cel.types import BOOL, NULL, STRING, Type, list_of
from pilothouse.api.fields import Errors, Object

_MUTATIONS = {
    "ApplyConfiguration": admission.APPLY_CONFIGURATION,
    "JSONPatch": list_of(admission.JSON_PATCH_OPERATION),
}


class Expressions:
    """Checks the CEL expressions of a policy, or of a webhook, which has no spec.

    A method adds the causes of one expression; `text` comes as it was written.
    """

    def __init__(self, spec: Object | None = None) -> None:
        spec = spec or {}
        self._params = spec.get("paramKind") is not None
        self._composition = admission.Composition() if spec.get("variables") else None

    def match_condition(self, text: str, path: str, errs: Errors) -> None:
        """Must evaluate to bool."""
        _check(admission.environment(params=self._params), text, path, errs, BOOL)

    def variable(self, name: str, text: str, path: str, errs: Errors) -> None:
        """May be of any type; later expressions see it as `variables.name`, also when it was refused."""
        found = _check(self._environment(), text, path, errs)
        assert self._composition is not None
        self._composition.add(name, found)

    def validation(self, text: str, path: str, errs: Errors) -> None:
        """Must evaluate to bool."""
        _check(self._environment(), text, path, errs, BOOL)

    def message(self, text: str, path: str, errs: Errors) -> None:
        """Must evaluate to string."""
        _check(self._environment(authorizer=False), text, path, errs, STRING)

    def audit_value(self, text: str, path: str, errs: Errors) -> None:
        """Must evaluate to string or null."""
        _check(self._environment(), text.strip(), path, errs, STRING, NULL)

    def mutation(self, text: str, patch_type: str, path: str, errs: Errors) -> None:
        """Must evaluate to an apply configuration or a list of JSON patches, by `patch_type`."""
        _check(self._environment(patches=True), text, path, errs, _MUTATIONS[patch_type])

    def _environment(self, *, authorizer: bool = True, patches: bool = False) -> Environment:
        return admission.environment(
            params=self._params, authorizer=authorizer, patches=patches, composition=self._composition
        )


def _check(environment: Environment, text: str, path: str, errs: Errors, *results: Type) -> Type | None:
    """The type that an expression gives, None when it was refused."""
    try:
        return environment.compile(text, *results).type
    except ResultError as err:
        errs.invalid(path, text, f"must evaluate to {_wanted(results)} but got {_shown(err.found)}")
    except ProgramError as err:
        errs.internal(path, f"program instantiation failed: {err}")
    except CompileError as err:
        errs.invalid(path, text, f"compilation failed: {err}")
    return None


def _wanted(results: tuple[Type, ...]) -> str:
    if len(results) == 1:
        return _shown(results[0])
    return f"one of [{' '.join(_shown(one) for one in results)}]"


def _shown(type: Type) -> str:
    return "null_type" if type.kind == "null" else str(type)
