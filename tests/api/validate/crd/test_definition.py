"""Every cause that definitions can have besides those of their schemas (apiextensions-apiserver validation)."""

import base64

import certificates
from rules import at, below, each, gives, put, table, valid

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
selectable = each(version(), "spec.versions.0.selectableFields[].jsonPath")
converted = at(of(conversion={"strategy": "Webhook"}), "spec.conversion.webhook", {})
unconverted = at(of(conversion={"strategy": "None"}), "spec.conversion.webhook", {})
COMMUNITY = put(BASE, {"metadata.name": "widgets.x.k8s.io", "spec.group": "x.k8s.io"})
UNTYPED = {"openAPIV3Schema": put(SCHEMA, {"properties.spec.properties.a": {}})}
FIRST, SECOND = {**VERSION, "schema": UNTYPED}, {**VERSION, "name": "v2", "storage": False}
ODD_TYPE, ODD_FORMAT = (put(BASE, {f"spec.versions.0.schema.openAPIV3Schema.properties.spec.properties.a.{name}": "thing"}) for name in ("type", "format"))
UNSERVED, ESTABLISHED = version(schema=None, served=False), put(BASE, {"status.conditions": [{"type": "Established", "status": "True"}]})


def protected(annotation: str) -> Object:
    return put(COMMUNITY, {"metadata.annotations": {APPROVED: annotation}})


SERVICE = {"namespace": "n", "name": "s", "port": 443}
CLIENT = {"service": SERVICE}

test_causes = table([
    (NEW, of(versions=[FIRST, {**SECOND, "schema": UNTYPED}]), "spec.validation.openAPIV3Schema.properties[spec].properties[a].type: …"),
    (NEW, of(versions=[FIRST, SECOND]), "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].type: …"),
    *valid(NEW, protected("https://example.com/pull/1"), BASE, put(BASE, {"metadata.name": "others.example.com"})),
    *valid(NEW, scale(specReplicasPath=".spec.a", statusReplicasPath=".status.a", labelSelectorPath=".status.s"), column(), selectable(".spec.a"), unconverted()),
    *valid(NEW, converted(clientConfig=CLIENT, conversionReviewVersions=["v1"]), converted(clientConfig={**CLIENT, "caBundle": "eA=="}, conversionReviewVersions=["v1"])),
    *valid(NEW, protected("unapproved, for tests"), protected("https://example.com/approval")),
    (UPDATE, (COMMUNITY, protected("https://example.com/pull/1")), f"metadata.annotations[{APPROVED}]: …"),
    *valid(UPDATE, (of(scope="Namespaced"), BASE), (ODD_TYPE, ODD_TYPE), (UNSERVED, UNSERVED), (BASE, BASE), (COMMUNITY, COMMUNITY)),
    (UPDATE, (of(scope="Namespaced", names={**NAMES, "kind": "Gadget", "plural": "gadgets"}, group="example.org"), ESTABLISHED), "spec.scope fixed", "spec.names.kind fixed", "spec.group fixed",
        "spec.names.plural fixed"),
    (UPDATE, (version(name="v2"), BASE), "status.storedVersions : must have the storage version v2", 'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; …'),
    (UPDATE, (ODD_TYPE, BASE), 'spec.validation.openAPIV3Schema.properties[spec].properties[a].type="thing" array|boolean|integer|number|object|string'),
    (NEW, of(group="A_", scope=""), "spec.group : <RFC 1123 subdomain>", "spec.scope!"),
    (NEW, of(names={}), "spec.names.plural,singular,kind,listKind!"),
    (NEW, of(names={"plural": "W_", "singular": "S_", "kind": "k i", "listKind": "l i", "categories": ["C_"]}), "spec.names.plural,singular : <DNS-1035 label>",
        "spec.names.kind,listKind : may have mixed case, but should otherwise match: <DNS-1035 label>", "spec.names.categories[0] : <DNS-1035 label>"),
    (NEW, version(deprecated=True, deprecationWarning=""), "spec.versions[0].deprecationWarning : must not be an empty string"),
    (NEW, version(deprecated=True, deprecationWarning="x" * 257), "spec.versions[0].deprecationWarning : must be <= 256 characters long"),
    (NEW, scale(), "spec.subresources.scale.specReplicasPath,statusReplicasPath!"),
    (NEW, scale(specReplicasPath="spec.a", statusReplicasPath=".spec.a", labelSelectorPath=".metadata"),
        *below("spec.subresources.scale", '.specReplicasPath="spec.a" : must be a simple json path starting with .', '.statusReplicasPath=".spec.a" : should be a json path under .status',
        '.labelSelectorPath=".metadata" : should be a json path under either .spec or .status')),
    (NEW, column(name="", type="", jsonPath=""), *below("spec.additionalPrinterColumns[0]", ".name!", ".type! : must be one of boolean,date,integer,number,string", ".JSONPath!")),
    (NEW, column(type="odd", format="odd", jsonPath="spec"), *below("spec.additionalPrinterColumns[0]", '.type="odd" : must be one of boolean,date,integer,number,string',
        '.format="odd" : must be one of byte,date,date-time,double,float,int32,int64,password', '.JSONPath="spec" : must be a simple json path starting with .')),
    (NEW, selectable("", ".spec.b", ".metadata.name", ".spec", ".spec.a", ".spec.a"), *below("spec.selectableFields", "[0].jsonPath!",
        '[1].jsonPath=".spec.b" : is an invalid path: does not refer to a valid field', '[2].jsonPath=".metadata.name" : is an invalid path: does not refer to a valid field',
        '[3].jsonPath=".spec" : must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.', '[5].jsonPath=".spec.a" unique')),
    (NEW, put(selectable(".spec.a"), {"spec.versions.0.schema": None}), "spec.versions[0].schema.openAPIV3Schema!", 'spec.selectableFields="" : may only be set when validations.schema is included'),
    (NEW, unconverted(clientConfig=CLIENT, conversionReviewVersions=["v1"]), "spec.conversion.webhookClientConfig,conversionReviewVersions- : should not be set when strategy is not set to Webhook"),
    (NEW, of(conversion={"strategy": "Odd", "webhook": {}}), "spec.conversion.strategy None|Webhook"),
    (NEW, converted(), "spec.conversion.webhookClientConfig! : required when strategy is set to Webhook", "spec.conversion.conversionReviewVersions!"),
    (NEW, converted(clientConfig={}, conversionReviewVersions=["v1", "v1", "1"]), *below("spec.conversion", ".webhookClientConfig! : exactly one of url or service is required",
        '.conversionReviewVersions[1]="v1" : duplicate version', '.conversionReviewVersions[2]="1" : <DNS-1035 label>')),
    (NEW, converted(clientConfig={"url": "http://a"}, conversionReviewVersions=["v2"]),
        "spec.conversion.webhookClientConfig.url=\"http\" : 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        'spec.conversion.conversionReviewVersions=["v2"] : must include at least one of v1, v1beta1'),
    (NEW, put(BASE, {"status.storedVersions": []}), "status.storedVersions : must have at least one stored version"),
    (NEW, put(BASE, {"status.storedVersions": ["v2"]}), "status.storedVersions : must have the storage version v1",
        "status.storedVersions[0] : missing from spec.versions; v2 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v2 and removes v2 from status.storedVersions"),
    (NEW, COMMUNITY,
        'metadata.annotations[api-approved.kubernetes.io]! : protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111'),
    (NEW, protected("odd"),
        'metadata.annotations[api-approved.kubernetes.io] : protected groups must have approval annotation "api-approved.kubernetes.io" with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111'),
    (UPDATE, (put(BASE, {"spec.group": "example.org", "spec.names.plural": "gadgets"}), BASE), "spec.group fixed", "spec.names.plural fixed"),
    (rules.validate_status_update, {"status": {"acceptedNames": {"plural": "W_", "kind": "K", "listKind": "K"}}}, "status.acceptedNames.plural : <DNS-1035 label>",
        "status.acceptedNames.listKind : kind and listKind may not be the same"),
    (NEW, of(group=""), "spec.group!"),
    (NEW, of(group="nodot"), "spec.group : should be a domain with at least one dot"),
    (NEW, of(scope="World"), "spec.scope Cluster|Namespaced"),
    (NEW, of(names={**NAMES, "listKind": "Widget"}), "spec.names.listKind : kind and listKind may not be the same"),
    (NEW, of(names={**NAMES, "kind": "wi dget", "shortNames": ["A"]}), "spec.names.kind : may have mixed case, but should otherwise match: <DNS-1035 label>",
        "spec.names.shortNames[0] : <DNS-1035 label>"),
    (NEW, version(storage=False),
        'spec.versions=[{"Name":"v1","Served":true,"Storage":false,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}] : must have exactly one version marked as storage version'),
    (NEW, of(versions=[VERSION, {**VERSION, "storage": False}]),
        'spec.versions=[{"Name":"v1","Served":true,"Storage":true,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null},{"Name":"v1","Served":true,"Storage":false,"Deprecated":false,"DeprecationWarning":null,"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}] : must contain unique version names'),
    (NEW, version(name="V1"), "spec.versions[0].name : <DNS-1035 label>", 'spec.version="V1" : <DNS-1035 label>', "status.storedVersions : must have the storage version V1",
        "status.storedVersions[0] : missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions"),
    (NEW, version(deprecationWarning="old"), "spec.versions[0].deprecationWarning : can only be set for deprecated versions"),
    (NEW, version(deprecated=True, deprecationWarning="\n"), "spec.versions[0].deprecationWarning : must only contain printable UTF-8 characters; non-printable character found at index 0"),
    (NEW, of(preserveUnknownFields=True), "spec.preserveUnknownFields : cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"),
    (NEW, scale(specReplicasPath=".x"), 'spec.subresources.scale.specReplicasPath=".x" : should be a json path under .spec', "spec.subresources.scale.statusReplicasPath!"),
    (NEW, version(additionalPrinterColumns=[{"type": "odd", "format": "odd"}]), *below("spec.additionalPrinterColumns[0]", ".name!", '.type="odd" : must be one of boolean,date,integer,number,string',
        '.format="odd" : must be one of byte,date,date-time,double,float,int32,int64,password', ".JSONPath!")),
    (NEW, of(conversion={"strategy": "Webhook"}), "spec.conversion.webhookClientConfig! : required when strategy is set to Webhook", "spec.conversion.conversionReviewVersions!"),
    (NEW, selectable(".spec['a']"), "spec.selectableFields[0].jsonPath=\".spec['a']\" : is an invalid path: array notation is not allowed"),
])  # fmt: skip


def test_bundles() -> None:
    pem = certificates.certificate(certificates.new_key())
    assert is_bundle(pem.hex()) is False
    assert is_bundle(base64.b64encode(pem).decode())


test_formats_that_mean_nothing_are_warned_of = gives(lambda changed: rules.warnings(*changed), [
    ((ODD_FORMAT, None), ['unrecognized format "thing"']), ((ODD_FORMAT, ODD_FORMAT), []), ((BASE, None), [])])  # fmt: skip
test_names_of_definitions = gives(lambda name: rules.definition_name(name, BASE["spec"]), [
    ("widgets.example.com", []), ("x.example.com", ['must be spec.names.plural+"."+spec.group'])])  # fmt: skip
test_states_of_approval = gives(lambda text: state({APPROVED: text})[0], [("unapproved, for tests", "bypassed"), ("https://example.com/pull/1", "approved")])
