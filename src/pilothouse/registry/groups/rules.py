"""The rules of the built-in kinds (api/validate), each module of which is imported when one of its rules is
first used: a start needs hardly any.

`rules.rbac` is api/validate/rbac.py, `rules.pod_spec` is api/validate/pod/spec.py.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilothouse.api.validate import (
        admissionregistration,
        apiregistration,
        apps,
        authorization,
        autoscaling,
        certificates,
        coordination,
        core,
        core_node,
        cron_job,
        discovery,
        dra,
        dra_slices,
        dra_status,
        endpoints,
        event,
        flowcontrol,
        ingress,
        job,
        job_status,
        job_update,
        key_pair,
        network_policy,
        networking,
        node,
        node_labels,
        persistentvolume,
        persistentvolumeclaim,
        policies,
        policy,
        quota,
        rbac,
        scheduling,
        secret,
        service,
        service_update,
        stateful_set,
        storage,
    )
    from pilothouse.api.validate.crd import (
        definition as crd_definition,
    )
    from pilothouse.api.validate.crd import (
        update as crd_update,
    )
    from pilothouse.api.validate.pod import (
        annotations as pod_annotations,
    )
    from pilothouse.api.validate.pod import (
        resources as pod_resources,
    )
    from pilothouse.api.validate.pod import (
        spec as pod_spec,
    )
    from pilothouse.api.validate.pod import (
        status as pod_status,
    )
    from pilothouse.api.validate.pod import (
        update as pod_update,
    )
    from pilothouse.api.validate.pod import (
        visit as pod_visit,
    )
    from pilothouse.api.validate.pod import (
        warnings as pod_warnings,
    )
else:
    _PACKAGES = ("crd", "pod")

    def __getattr__(name: str) -> ModuleType:
        """Import a module of rules, which is a global of this module from then on (PEP 562)."""
        package, _, rest = name.partition("_")
        path = f"pilothouse.api.validate.{f'{package}.{rest}' if package in _PACKAGES and rest else name}"
        try:
            module = import_module(path)
        except ModuleNotFoundError as err:
            if err.name != path:  # the module is there, and imports one that is not
                raise
            raise AttributeError(f"no module of rules is named {name}") from None
        globals()[name] = module
        return module
