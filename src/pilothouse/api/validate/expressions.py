"""Checks that the CEL expressions of policies, webhooks and device selectors have values of the right type."""

from pilothouse.api.cel import (
    ANY,
    BOOL,
    NULL,
    STRING,
    CelType,
    CompileError,
    Environment,
    ProgramError,
    ResultError,
    list_of,
)
from pilothouse.api.expressions import admission, devices, mutations
from pilothouse.api.values.fields import Errors, Object

_MUTATIONS = {
    "ApplyConfiguration": mutations.APPLY_CONFIGURATION,
    "JSONPatch": list_of(mutations.JSON_PATCH_OPERATION),
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
        """The expression must evaluate to bool."""
        _check(admission.environment(params=self._params), text, path, errs, BOOL)

    def variable(self, name: str, text: str, path: str, errs: Errors) -> None:
        """A variable may be of any type; later expressions see it, also when it was refused."""
        found = _check(self._environment(), text, path, errs)
        assert self._composition is not None
        self._composition.add(name, found)

    def validation(self, text: str, path: str, errs: Errors) -> None:
        """The expression must evaluate to bool."""
        _check(self._environment(), text, path, errs, BOOL)

    def message(self, text: str, path: str, errs: Errors) -> None:
        """The expression must evaluate to string."""
        _check(self._environment(authorizer=False), text, path, errs, STRING)

    def audit_value(self, text: str, path: str, errs: Errors) -> None:
        """The expression must evaluate to string or null."""
        _check(self._environment(), text.strip(), path, errs, STRING, NULL)

    def mutation(self, text: str, patch_type: str, path: str, errs: Errors) -> None:
        """The expression must give an apply configuration or a list of JSON patches, by `patch_type`."""
        _check(self._environment(patches=True), text, path, errs, _MUTATIONS[patch_type])

    def _environment(self, *, authorizer: bool = True, patches: bool = False) -> Environment:
        return admission.environment(
            params=self._params, authorizer=authorizer, patches=patches, composition=self._composition
        )


def _check(environment: Environment, text: str, path: str, errs: Errors, *results: CelType) -> CelType | None:
    """The type that an expression gives, None when it was refused."""
    try:
        return environment.compile(text, *results).type
    except ResultError as err:
        errs.invalid(path, text, f"must evaluate to {_wanted(results)} but got {err.found.declared_name}")
    except ProgramError as err:
        errs.internal(path, f"program instantiation failed: {err}")
    except CompileError as err:
        errs.invalid(path, text, f"compilation failed: {err}")
    return None


def _wanted(results: tuple[CelType, ...]) -> str:
    if len(results) == 1:
        return results[0].declared_name
    return f"one of [{' '.join(one.declared_name for one in results)}]"


def device_selector(text: str, path: str, errs: Errors) -> None:
    """The selector must evaluate to bool,
    or to an attribute of which the type is not known, and must not be too expensive.

    (pkg/apis/resource/validation validateCELExpression)
    """
    try:
        program = devices.environment().compile(text, BOOL, ANY)
    except ResultError as err:
        wrong = f"must evaluate to bool or the unknown type, not {err.found.declared_name}"
        errs.invalid(path, text, wrong)
    except ProgramError as err:
        errs.internal(path, f"program instantiation failed: {err}")
    except CompileError as err:
        errs.invalid(path, text, f"compilation failed: {err}")
    else:
        if program.estimate(devices.sizes).most > devices.MAX_COST:
            errs.forbidden(path, "too complex, exceeds cost limit")
