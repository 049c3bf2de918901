"""Every cause that definitions can have besides those of their schemas
(apiextensions-apiserver validation)."""

import base64

import certificates
from rules import at, below, causes, put, table

from pilothouse.api.validate.crd import definition as rules
from pilothouse.api.validate.crd.approval import state
from pilothouse.api.validate.crd.update import validate_update
from pilothouse.api.validate.pem import is_bundle
from pilothouse.api.values.fields import Object

NEW, UPDATE = rules.validate_create, validate_update
SCHEMA: Object = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}
VERSION: Object = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}
NAMES = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
BASE: Object = {"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Cluster", "names": NAMES, "versions": [VERSION]}, "status": {"storedVersions": ["v1"]}}
APPROVED = "api-approved.kubernetes.io"

of = at(BASE, "spec")


version = at(BASE, "spec.versions[]", VERSION)
scale = at(BASE, "spec.versions.0.subresources.scale", {})
column = at(BASE, "spec.versions.0.additionalPrinterColumns[]", {"name": "n", "type": "string", "jsonPath": ".spec.a"})


def selectable(*paths: str) -> Object:
    return version(selectableFields=[{"jsonPath": path} for path in paths])


def converted(strategy: str = "Webhook", **webhook: object) -> Object:
    return of(conversion={"strategy": strategy, "webhook": webhook})


def protected(annotation: str | None) -> Object:
    changes = {"metadata.name": "widgets.x.k8s.io", "spec.group": "x.k8s.io"}
    return put(BASE, {**changes, "metadata.annotations": {APPROVED: annotation} if annotation else {}})


def fields(found: list[str]) -> list[str]:
    return [cause.partition(": ")[0] for cause in found]


SERVICE = {"namespace": "n", "name": "s", "port": 443}
CLIENT = {"service": SERVICE}

test_causes = table([
    (NEW, BASE, []),
    (NEW, of(group="A_", scope=""), ['spec.group: Invalid value: "A_": <RFC 1123 subdomain>', "spec.scope: Required value"]),
    (NEW, of(names={}), ["spec.names.plural: Required value", "spec.names.singular: Required value", "spec.names.kind: Required value", "spec.names.listKind: Required value"]),
    (NEW, of(names={"plural": "W_", "singular": "S_", "kind": "k i", "listKind": "l i", "categories": ["C_"]}), ['spec.names.plural: Invalid value: "W_": <DNS-1035 label>',
        'spec.names.singular: Invalid value: "S_": <DNS-1035 label>', 'spec.names.kind: Invalid value: "k i": may have mixed case, but should otherwise match: <DNS-1035 label>',
        'spec.names.listKind: Invalid value: "l i": may have mixed case, but should otherwise match: <DNS-1035 label>', 'spec.names.categories[0]: Invalid value: "C_": <DNS-1035 label>']),
    (NEW, put(BASE, {"metadata.name": "others.example.com"}), []),
    (NEW, version(deprecated=True, deprecationWarning=""), ['spec.versions[0].deprecationWarning: Invalid value: "": must not be an empty string']),
    (NEW, version(deprecated=True, deprecationWarning="x" * 257),
        ['spec.versions[0].deprecationWarning: Invalid value: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": must be <= 256 characters long']),
    (NEW, scale(), ["spec.subresources.scale.specReplicasPath: Required value", "spec.subresources.scale.statusReplicasPath: Required value"]),
    (NEW, scale(specReplicasPath="spec.a", statusReplicasPath=".spec.a", labelSelectorPath=".metadata"), below("spec.subresources.scale",
        '.specReplicasPath: Invalid value: "spec.a": must be a simple json path starting with .', '.statusReplicasPath: Invalid value: ".spec.a": should be a json path under .status',
        '.labelSelectorPath: Invalid value: ".metadata": should be a json path under either .spec or .status')),
    (NEW, scale(specReplicasPath=".spec.a", statusReplicasPath=".status.a", labelSelectorPath=".status.s"), []),
    (NEW, column(), []),
    (NEW, column(name="", type="", jsonPath=""), ["spec.additionalPrinterColumns[0].name: Required value",
        "spec.additionalPrinterColumns[0].type: Required value: must be one of boolean,date,integer,number,string", "spec.additionalPrinterColumns[0].JSONPath: Required value"]),
    (NEW, column(type="odd", format="odd", jsonPath="spec"), below("spec.additionalPrinterColumns[0]", '.type: Invalid value: "odd": must be one of boolean,date,integer,number,string',
        '.format: Invalid value: "odd": must be one of byte,date,date-time,double,float,int32,int64,password', '.JSONPath: Invalid value: "spec": must be a simple json path starting with .')),
    (NEW, selectable(".spec.a"), []),
    (NEW, selectable("", ".spec.b", ".metadata.name", ".spec", ".spec.a", ".spec.a"), ["spec.selectableFields[0].jsonPath: Required value",
        'spec.selectableFields[1].jsonPath: Invalid value: ".spec.b": is an invalid path: does not refer to a valid field',
        'spec.selectableFields[2].jsonPath: Invalid value: ".metadata.name": is an invalid path: does not refer to a valid field',
        'spec.selectableFields[3].jsonPath: Invalid value: ".spec": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
        'spec.selectableFields[5].jsonPath: Duplicate value: ".spec.a"']),
    (NEW, put(selectable(".spec.a"), {"spec.versions.0.schema": None}), ["spec.versions[0].schema.openAPIV3Schema: Required value",
        'spec.selectableFields: Invalid value: "": may only be set when validations.schema is included']),
    (NEW, converted("None"), []),
    (NEW, converted("None", clientConfig=CLIENT, conversionReviewVersions=["v1"]), ["spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook",
        "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook"]),
    (NEW, converted("Odd"), ['spec.conversion.strategy: Unsupported value: "Odd": supported values: "None", "Webhook"']),
    (NEW, converted(clientConfig=CLIENT, conversionReviewVersions=["v1"]), []),
    (NEW, converted(), ["spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook", "spec.conversion.conversionReviewVersions: Required value"]),
    (NEW, converted(clientConfig={}, conversionReviewVersions=["v1", "v1", "1"]), ["spec.conversion.webhookClientConfig: Required value: exactly one of url or service is required",
        'spec.conversion.conversionReviewVersions[1]: Invalid value: "v1": duplicate version', 'spec.conversion.conversionReviewVersions[2]: Invalid value: "1": <DNS-1035 label>']),
    (NEW, converted(clientConfig={"url": "http://a"}, conversionReviewVersions=["v2"]),
        ["spec.conversion.webhookClientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        'spec.conversion.conversionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1']),
    (NEW, converted(clientConfig={**CLIENT, "caBundle": "eA=="}, conversionReviewVersions=["v1"]), []),
    (NEW, put(BASE, {"status.storedVersions": []}), ["status.storedVersions: Invalid value: []: must have at least one stored version"]),
    (NEW, put(BASE, {"status.storedVersions": ["v2"]}), ['status.storedVersions: Invalid value: ["v2"]: must have the storage version v1',
        'status.storedVersions[0]: Invalid value: "v2": missing from spec.versions; v2 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v2 and removes v2 from status.storedVersions']),
    (NEW, protected(None),
        ['metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111']),
    (NEW, protected("odd"),
        ['metadata.annotations[api-approved.kubernetes.io]: Invalid value: "odd": protected groups must have approval annotation "api-approved.kubernetes.io" with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111']),
    (NEW, protected("unapproved, for tests"), []),
    (NEW, protected("https://example.com/approval"), []),
    (UPDATE, (BASE, BASE), []),
    (UPDATE, (protected(None), protected(None)), []),
    (UPDATE, (put(BASE, {"spec.group": "example.org", "spec.names.plural": "gadgets"}), BASE), ['spec.group: Invalid value: "example.org": field is immutable',
        'spec.names.plural: Invalid value: "gadgets": field is immutable']),
    (UPDATE, (of(scope="Namespaced"), put(BASE, {"status.conditions": [{"type": "Established", "status": "True"}]})), ['spec.scope: Invalid value: "Namespaced": field is immutable']),
    (rules.validate_status_update, {"status": {"acceptedNames": {"plural": "W_", "kind": "K", "listKind": "K"}}}, ['status.acceptedNames.plural: Invalid value: "W_": <DNS-1035 label>',
        'status.acceptedNames.listKind: Invalid value: "K": kind and listKind may not be the same']),
    (NEW, of(group=""), ["spec.group: Required value"]),
    (NEW, of(group="nodot"), ['spec.group: Invalid value: "nodot": should be a domain with at least one dot']),
    (NEW, of(scope="World"), ['spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"']),
    (NEW, of(names={**NAMES, "listKind": "Widget"}), ['spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same']),
    (NEW, of(names={**NAMES, "kind": "wi dget", "shortNames": ["A"]}), ['spec.names.kind: Invalid value: "wi dget": may have mixed case, but should otherwise match: <DNS-1035 label>',
        'spec.names.shortNames[0]: Invalid value: "A": <DNS-1035 label>']),
    (NEW, of(names={**NAMES, "singular": ""}), ["spec.names.singular: Required value"]),
    (NEW, version(storage=False),
        ['spec.versions: Invalid value: [{"Name":"v1","Served":true,"Storage":false,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}]: must have exactly one version marked as storage version']),
    (NEW, of(versions=[VERSION, {**VERSION, "storage": False}]),
        ['spec.versions: Invalid value: [{"Name":"v1","Served":true,"Storage":true,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null},{"Name":"v1","Served":true,"Storage":false,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}]: must contain unique version names']),
    (NEW, version(name="V1"), ['spec.versions[0].name: Invalid value: "V1": <DNS-1035 label>', 'spec.version: Invalid value: "V1": <DNS-1035 label>',
        'status.storedVersions: Invalid value: ["v1"]: must have the storage version V1',
        'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions']),
    (NEW, version(deprecationWarning="old"), ['spec.versions[0].deprecationWarning: Invalid value: "old": can only be set for deprecated versions']),
    (NEW, version(deprecated=True, deprecationWarning="\n"),
        ['spec.versions[0].deprecationWarning: Invalid value: "\\n": must only contain printable UTF-8 characters; non-printable character found at index 0']),
    (NEW, version(schema=None), ["spec.versions[0].schema.openAPIV3Schema: Required value"]),
    (NEW, of(preserveUnknownFields=True), ["spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"]),
    (NEW, scale(specReplicasPath=".x"), below("spec.subresources.scale", '.specReplicasPath: Invalid value: ".x": should be a json path under .spec', ".statusReplicasPath: Required value")),
    (NEW, version(additionalPrinterColumns=[{"type": "odd", "format": "odd"}]), below("spec.additionalPrinterColumns[0]", ".name: Required value",
        '.type: Invalid value: "odd": must be one of boolean,date,integer,number,string', '.format: Invalid value: "odd": must be one of byte,date,date-time,double,float,int32,int64,password',
        ".JSONPath: Required value")),
    (NEW, of(conversion={"strategy": "Webhook"}), ["spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        "spec.conversion.conversionReviewVersions: Required value"]),
    (NEW, converted("None", conversionReviewVersions=["v1"]), ["spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook"]),
    (NEW, selectable(".spec.zz"), ['spec.selectableFields[0].jsonPath: Invalid value: ".spec.zz": is an invalid path: does not refer to a valid field']),
    (NEW, selectable(".spec"),
        ['spec.selectableFields[0].jsonPath: Invalid value: ".spec": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.']),
    (NEW, selectable(".spec['a']"), ["spec.selectableFields[0].jsonPath: Invalid value: \".spec['a']\": is an invalid path: array notation is not allowed"]),
    (NEW, selectable(""), ["spec.selectableFields[0].jsonPath: Required value"]),
])  # fmt: skip


def test_bundles() -> None:
    pem = certificates.certificate(certificates.new_key())
    assert is_bundle(pem.hex()) is False

    assert is_bundle(base64.b64encode(pem).decode())


def test_formats_that_mean_nothing_are_warned_of() -> None:
    odd = put(BASE, {"spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.a.format": "odd"})
    assert rules.warnings(odd, None) == ['unrecognized format "odd"']
    assert rules.warnings(odd, odd) == []
    assert rules.warnings(BASE, None) == []


def test_what_versions_have_in_common_stands_above_them() -> None:
    bad = {"openAPIV3Schema": put(SCHEMA, {"properties.spec.properties.a": {}})}
    first, second = {**VERSION, "schema": bad}, {**VERSION, "name": "v2", "storage": False}
    assert fields(causes(NEW, of(versions=[first, {**second, "schema": bad}]))) == ["spec.validation.openAPIV3Schema.properties[spec].properties[a].type"]
    assert fields(causes(NEW, of(versions=[first, second]))) == ["spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].type"]


def test_names_of_definitions() -> None:
    assert rules.definition_name("widgets.example.com", BASE["spec"]) == []
    assert rules.definition_name("x.example.com", BASE["spec"]) == ['must be spec.names.plural+"."+spec.group']


def test_updates() -> None:
    old = put(BASE, {"status.conditions": [{"type": "Established", "status": "True"}]})
    other = {**NAMES, "kind": "Gadget", "plural": "gadgets"}
    assert causes(UPDATE, (BASE, BASE)) == causes(UPDATE, (of(scope="Namespaced"), BASE)) == []
    assert fields(causes(UPDATE, (of(scope="Namespaced", names=other, group="example.org"), old))) == ["spec.scope", "spec.names.kind", "spec.group", "spec.names.plural"]
    assert fields(causes(UPDATE, (version(name="v2"), BASE))) == ["status.storedVersions", "status.storedVersions[0]"]


def test_what_the_stored_definition_lacks_is_not_demanded() -> None:
    odd = put(BASE, {"spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.a.type": "thing"})
    assert causes(UPDATE, (odd, BASE)) != []
    none = version(schema=None, served=False)
    assert causes(UPDATE, (odd, odd)) == causes(UPDATE, (none, none)) == []


def test_groups_of_the_community_need_approval() -> None:
    path = f"metadata.annotations[{APPROVED}]"
    for annotation in (None, "no url"):
        assert fields(causes(NEW, protected(annotation))) == [path]
    for text, found in (("unapproved, for tests", "bypassed"), ("https://example.com/pull/1", "approved")):
        assert causes(NEW, protected(text)) == [] and state({APPROVED: text})[0] == found
    bare = protected(None)
    assert causes(UPDATE, (bare, bare)) == [], "what was missing before may stay so"
    assert fields(causes(UPDATE, (bare, protected("https://example.com/pull/1")))) == [path]
