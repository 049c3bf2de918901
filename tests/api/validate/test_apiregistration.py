"""Validation of APIServices (kube-aggregator pkg/apis/apiregistration/validation)."""

from rules import GONE, put, table, valid

from pilothouse.api.validate import apiregistration as rules

LOCAL = {"metadata": {"name": "v1.apps"}, "spec": {"group": "apps", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1}}
REMOTE = put(LOCAL, {"spec.service": {"namespace": "n", "name": "s", "port": 443}})
SERVICE, STATUS = rules.validate_api_service, rules.validate_api_service_status

test_api_services = table([
    *valid(SERVICE, LOCAL, REMOTE, put(LOCAL, {"metadata.name": "a/b"}), put(LOCAL, {"metadata.generateName": "v1.apps"}), put(LOCAL, {"metadata.name": "v1.", "spec.group": ""})),
    (SERVICE, put(LOCAL, {"metadata.name": "v1.batch"}), 'metadata.name : must be `spec.version+"."+spec.group`: "v1.apps"'),
    (SERVICE, put(LOCAL, {"metadata.generateName": "v1.apps-"}), 'metadata.generateName : must be `spec.version+"."+spec.group`: "v1.apps"'),
    (SERVICE, put(LOCAL, {"metadata.name": "v2.", "spec.group": "", "spec.version": "v2"}), "spec.group! : only v1 may have an empty group and it better be legacy kube"),
    (SERVICE, put(LOCAL, {"metadata.name": "v1.A_", "spec.group": "A_"}), "spec.group : <RFC 1123 subdomain>"),
    (SERVICE, put(LOCAL, {"metadata.name": "1.apps", "spec.version": "1"}), "spec.version : <DNS-1035 label>"),
    (SERVICE, put(LOCAL, {"spec.groupPriorityMinimum": 0, "spec.versionPriority": GONE}), "spec.groupPriorityMinimum : must be positive and less than 20000",
        "spec.versionPriority=0 : must be positive and less than 1000"),
    (SERVICE, put(LOCAL, {"spec.groupPriorityMinimum": 20_001, "spec.versionPriority": 1001}), "spec.groupPriorityMinimum : must be positive and less than 20000",
        "spec.versionPriority : must be positive and less than 1000"),
    (SERVICE, put(LOCAL, {"spec.caBundle": "Y2E=", "spec.insecureSkipTLSVerify": True}), 'spec.caBundle="2 bytes" : local APIServices may not have a caBundle',
        "spec.insecureSkipTLSVerify : local APIServices may not have insecureSkipTLSVerify"),
    (SERVICE, put(REMOTE, {"spec.service": {}}), "spec.service.namespace,name!", "spec.service.port=0 : port is not valid: <port>"),
    (SERVICE, put(REMOTE, {"spec.service.port": 70_000}), "spec.service.port : port is not valid: <port>"),
    (SERVICE, put(REMOTE, {"spec.caBundle": "Y2E=", "spec.insecureSkipTLSVerify": True}), "spec.insecureSkipTLSVerify : may not be true if caBundle is present"),
    (rules.validate_api_service_update, (put(LOCAL, {"spec.versionPriority": -1}), LOCAL), "spec.versionPriority : must be positive and less than 1000"),
    (STATUS, (put(LOCAL, {"status.conditions": [{"status": "True"}]}), LOCAL)),
    (STATUS, (put(LOCAL, {"status.conditions": [{"status": "Maybe"}]}), LOCAL), "status.conditions[0].status True|False|Unknown"),
])  # fmt: skip
