"""Validates flowcontrol.apiserver.k8s.io/v1: flow schemas and priority levels."""

from math import ceil, log2

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.mandatory_flows import MANDATORY_LEVELS, MANDATORY_SCHEMAS

MAX_QUEUES = 10_000_000
MAX_HASH_BITS = 60
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")

rules = Rules(
    __name__,
    alone_in_groups=d.alone("api groups"),
    alone_in_namespaces=d.alone("namespaces"),
    alone_in_resources=d.alone("resources"),
    alone_in_urls=d.alone("non-resource URLs"),
    alone_in_verbs=d.alone("verbs"),
    namespace=d.Matches(names.dns_label, text="each member of this list must be '*' or a DNS-1123 label; {}"),
)


# Flow schemas

rules.define("""
verbs                               api.flowcontrol.v1.ResourcePolicyRule|NonResourcePolicyRule
    if verbs has *
      verbs                             alone-in-verbs
    else
      verbs                             known-verbs
conditions                          api.flowcontrol.v1.FlowSchemaStatus|PriorityLevelConfigurationStatus
    conditions[]                        unique-first:.type
      type!                             : must not be empty
""")
validate_flow_schema = rules.kind("flowcontrol.apiserver.k8s.io/v1 FlowSchema")("""
    spec.matchingPrecedence             >=1 : must be a positive value
    spec.matchingPrecedence             <=10000 : must not be greater than 10000
    if spec.matchingPrecedence == 1 and metadata.name != exempt
      spec.matchingPrecedence           never : only the schema named 'exempt' may have matchingPrecedence 1
    spec.distinguisherMethod            method
    spec.priorityLevelConfiguration.name! dns-subdomain : must reference a priority level
    spec.rules[]
      subjects[]!                       : subjects must contain at least one value
        kind                            Group|ServiceAccount|User
        if kind == ServiceAccount
          serviceAccount*               : serviceAccount is required when subject kind is 'ServiceAccount'
            name!
            if name != *
              name+                     dns-subdomain
            namespace!                  dns-label : must specify namespace for service account
          user-?                        : user is forbidden when subject kind is not 'User'
          group-?                       : group is forbidden when subject kind is not 'Group'
        if kind == User
          user*                         : user is required when subject kind is 'User'
            name!
          serviceAccount-?              : serviceAccount is forbidden when subject kind is not 'ServiceAccount'
          group-?                       : group is forbidden when subject kind is not 'Group'
        if kind == Group
          group*                        : group is required when subject kind is 'Group'
            name!
          serviceAccount-?              : serviceAccount is forbidden when subject kind is not 'ServiceAccount'
          user-?                        : user is forbidden when subject kind is not 'User'
      if not resourceRules and not nonResourceRules
        required                        : at least one of resourceRules and nonResourceRules has to be non-empty
      resourceRules[]
        verbs!                          : verbs must contain at least one value
        @verbs
        apiGroups!                      alone-in-groups : resource rules must supply at least one api group
        resources!                      alone-in-resources : resource rules must supply at least one resource
        if not namespaces and not clusterScope
          namespaces!                   : resource rules that are not cluster scoped must supply at least one namespace
        if namespaces has *
          namespaces                    alone-in-namespaces
        else
          namespaces[]                  namespace
      nonResourceRules[]
        verbs!                          : verbs must contain at least one value
        @verbs
        nonResourceURLs!                : nonResourceURLs must contain at least one value
        if nonResourceURLs has *
          nonResourceURLs               alone-in-urls
        else
          nonResourceURLs[]             url
    @mandatory-schema
    status                              conditions
""")
validate_flow_schema_update = d.anew(validate_flow_schema)
validate_conditions_status = rules.change(
    "flowcontrol.apiserver.k8s.io/v1 FlowSchema|PriorityLevelConfiguration"
)("status conditions")
"""The status of a flow schema or priority level."""


@rules
def _method(method: Object, path: str, errs: Errors) -> None:
    if method.get("type", "") not in ("ByNamespace", "ByUser"):
        errs.not_supported(f"{path}.type", {"Type": method.get("type", "")}, ("ByNamespace", "ByUser"))


@rules
def _known_verbs(verbs: list[str], path: str, errs: Errors) -> None:
    if not set(verbs) <= set(_VERBS):
        errs.not_supported(path, verbs, _VERBS)


def _url_fault(url: str) -> list[str]:
    if not url:
        return ["must not be empty"]
    if not url.startswith("/"):
        return ["must start with slash"]
    if " " in url:
        return ["must not contain white-space"]
    if "//" in url:
        return ["must not contain double slash"]
    if url.count("*") > 1 or ("*" in url and not url.endswith("/*")):
        return ["wildcard can only do suffix matching"]
    return []


rules.add("url", d.Matches(_url_fault))


@rules
def _mandatory_schema(obj: Object, path: str, errs: Errors) -> None:
    name, spec = d.found(obj, ("metadata", "name")), obj.get("spec") or {}
    if name in MANDATORY_SCHEMAS and not equal(spec, MANDATORY_SCHEMAS[name]):
        shown = go(spec, "api.flowcontrol.v1.FlowSchemaSpec")
        errs.invalid("spec", shown, f"spec of '{name}' must equal the fixed value")


# Priority levels

rules.define("""
shares                              api.flowcontrol.v1.LimitedPriorityLevelConfiguration|ExemptPriorityLevelConfiguration
    nominalConcurrencyShares            >=0 : must be a non-negative integer
lendable                            api.flowcontrol.v1.LimitedPriorityLevelConfiguration|ExemptPriorityLevelConfiguration
    lendablePercent                     0..100 : must be between 0 and 100, inclusive
""")
validate_priority_level = rules.kind("flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration")(f"""
    if metadata.name == exempt and spec.type != Exempt or metadata.name != exempt and spec.type == Exempt
      spec.type                         never : must be 'Exempt' if and only if `name` is 'exempt'
    spec                                by:type
      when Exempt
        limited-?                       : must be nil if the type is not Limited
        exempt                          shares lendable
      when Limited
        exempt-?                        : must be nil if the type is Limited
        limited*                        : must not be empty when type is Limited
          @shares
          limitResponse                 by:type
            when Queue
              queuing*                  : must not be empty if limited.limitResponse.type is Limited
                queueLengthLimit        >=1 : must be positive
                queues                  >=1 : must be positive
                queues                  <={MAX_QUEUES} : must not be greater than {MAX_QUEUES}
                handSize                >=1 : must be positive
                @hand
            when Reject
              queuing-?                 : must be nil if limited.limitResponse.type is not Limited
          @lendable
          borrowingLimitPercent         >=0 : if specified, must be a non-negative integer
    @mandatory-level
    status                              conditions
""")
validate_priority_level_update = d.anew(validate_priority_level)


@rules
def _hand(queuing: Object, path: str, errs: Errors) -> None:
    queues, hand = queuing.get("queues", 0), queuing.get("handSize", 0)
    if hand > 0 and hand > queues:
        errs.invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif hand > 0 and entropy_bits(queues, hand) > MAX_HASH_BITS:
        needed = f"required entropy bits of deckSize {queues} and handSize {hand}"
        errs.invalid(f"{path}.handSize", hand, f"{needed} should not be greater than {MAX_HASH_BITS}")


@rules
def _mandatory_level(obj: Object, path: str, errs: Errors) -> None:
    name, spec = d.found(obj, ("metadata", "name")), obj.get("spec") or {}
    mandatory, but = MANDATORY_LEVELS.get(name), ""
    if mandatory is None:
        return
    if name == "exempt":
        but = " except the 'spec.exempt' field"
        spec, mandatory = spec | {"exempt": None}, mandatory | {"exempt": None}
    if not equal(spec, mandatory):
        shown = go(obj.get("spec") or {}, "api.flowcontrol.v1.PriorityLevelConfigurationSpec")
        errs.invalid("spec", shown, f"spec of '{name}'{but} must equal the fixed value")


def entropy_bits(queues: int, hand: int) -> int:
    """Bits of hash needed to deal a hand out of so many queues (shufflesharding.RequiredEntropyBits)."""
    return ceil(log2(queues) * hand)
