"""Specs of claims and templates as Go prints its internal types; the first is as kube-apiserver v1.36 has answered."""

import json

from pilothouse.api.validate import dra_shown

EXACTLY = {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}


def test_a_claim() -> None:
    requests = [
        {"name": "r", "exactly": EXACTLY},
        {"name": "f", "firstAvailable": [{"name": "s", **EXACTLY}]},
    ]
    devices = {
        "requests": requests,
        "constraints": [{"requests": ["r"], "matchAttribute": "d.example.com/model"}],
        "config": [{"requests": ["r"], "opaque": {"driver": "d.example.com", "parameters": {"a": "b"}}}],
    }
    assert json.dumps(dra_shown.claim_spec({"devices": devices}), separators=(",", ":")) == (
        '{"Devices":{"Requests":[{"Name":"r","Exactly":{"DeviceClassName":"c","Selectors":null,'
        '"AllocationMode":"ExactCount","Count":1,"AdminAccess":null,"Tolerations":null,"Capacity":null},'
        '"FirstAvailable":null},{"Name":"f","Exactly":null,"FirstAvailable":[{"Name":"s","DeviceClassName":"c",'
        '"Selectors":null,"AllocationMode":"ExactCount","Count":1,"Tolerations":null,"Capacity":null}]}],'
        '"Constraints":[{"Requests":["r"],"MatchAttribute":"d.example.com/model","DistinctAttribute":null}],'
        '"Config":[{"Requests":["r"],"Opaque":{"Driver":"d.example.com","Parameters":{"a":"b"}}}]}}'
    )


def test_what_is_below_a_request() -> None:
    exactly = {
        "selectors": [{"cel": {"expression": "true"}}, {}],
        "adminAccess": True,
        "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 3}],
        "capacity": {"requests": {"b": "1", "a": "2"}},
    }
    spec = {"devices": {"requests": [{"exactly": exactly}], "config": [{}]}}
    shown = dra_shown.template_spec({"metadata": {"labels": {"b": "", "a": ""}}, "spec": spec})
    assert list(shown["labels"]) == ["a", "b"]
    found = shown["Spec"]["Devices"]["Requests"][0]["Exactly"]
    assert found["Selectors"] == [{"CEL": {"Expression": "true"}}, {"CEL": None}] and found["AdminAccess"]
    assert found["Tolerations"] == [
        {"Key": "k", "Operator": "Exists", "Value": "", "Effect": "", "TolerationSeconds": 3}
    ]
    assert list(found["Capacity"]["Requests"]) == ["a", "b"]
    assert shown["Spec"]["Devices"]["Config"] == [{"Requests": None, "Opaque": None}]


def test_an_attribute() -> None:
    assert json.dumps(dra_shown.attribute({"bool": True, "int": 1}), separators=(",", ":")) == (
        '{"IntValue":1,"BoolValue":true,"StringValue":null,"VersionValue":null,"IntValues":null,"BoolValues":null,'
        '"StringValues":null,"VersionValues":null}'
    )
