"""Rules of pods and pod templates (apis/core/validation, ValidatePodSpec and its callers)."""

from dataclasses import dataclass

from pilothouse.api.fields import Errors, Object


@dataclass(slots=True, frozen=True)
class PodOptions:
    """What an old object excuses; every member is False for a new one (PodValidationOptions).

    is_pod: the spec is a pod's own, not one of a template.
    """

    is_pod: bool = False
    allow_invalid_deletion_cost: bool = False
    allow_invalid_selector_values: bool = False
    allow_indivisible_huge_pages: bool = False
    allow_invalid_spread_selector: bool = False
    allow_non_local_token_path: bool = False
    allow_invalid_node_affinity_values: bool = False
    old_ips: frozenset[str] = frozenset()


NEW = PodOptions()


def options_for(
    spec: Object | None, old_spec: Object | None = None, old_meta: Object | None = None
) -> PodOptions:
    """The options for a spec that replaces another (podutil.GetValidationOptionsFromPodSpecAndMeta)."""
    return NEW


def validate_pod_template_spec(template: Object, path: str, errs: Errors, options: PodOptions = NEW) -> None:
    """A PodTemplateSpec at `path` (`spec.template`)."""
    validate_pod_spec(template.get("spec") or {}, f"{path}.spec", errs, options)


def validate_pod_spec(
    spec: Object, path: str, errs: Errors, options: PodOptions = NEW, *, meta: Object | None = None
) -> None:
    """A PodSpec at `path`; `meta` is the pod's own metadata, None for a template."""
