"""A TracingConfiguration is read and checked.
The texts are those of kube-apiserver v1.36.2 with the same files."""

import pathlib

import pytest

from pilothouse.api.configfile import ConfigurationError
from pilothouse.tracing.configuration import TracingConfiguration, address, load, target

HEAD = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n"
NAMING = "Options are none, dns, unix, or unix-abstract.  See https://github.com/grpc/grpc/blob/master/doc/naming.md"


def loaded(text: str, head: str = HEAD) -> TracingConfiguration:
    return load("traces.yaml", (head + text).encode())


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
def test_every_version_is_read(version: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "traces.yaml"
    file.write_text(HEAD.replace("/v1", f"/{version}") + "endpoint: a:1\nsamplingRatePerMillion: 7\n")
    assert load(str(file)) == ("a:1", 7)


def test_what_is_not_said() -> None:
    assert loaded("") == ("localhost:4317", 0)
    assert loaded("endpoint: null\nsamplingRatePerMillion: null\n") == ("localhost:4317", 0)


@pytest.mark.parametrize(
    "endpoint", ["a:1", "dns:///a:1", "dns://8.8.8.8/a:1", "unix:///run/x", "unix-abstract://x"]
)
def test_endpoints(endpoint: str) -> None:
    assert loaded(f"endpoint: {endpoint}").endpoint == endpoint


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "endpoint: http://a:1",
            f'endpoint: Invalid value: "http://a:1": unsupported scheme: http.  {NAMING}',
        ),
        (
            "samplingRatePerMillion: -1",
            "samplingRatePerMillion: Invalid value: -1: sampling rate must be positive",
        ),
        (
            "samplingRatePerMillion: 2000000",
            "samplingRatePerMillion: Invalid value: 2000000: "
            "sampling rate per million must be less than or equal to one million",
        ),
        (
            "samplingRatePerMillion: -1\nendpoint: ftp://x",
            "[samplingRatePerMillion: Invalid value: -1: sampling rate must be positive, "
            f'endpoint: Invalid value: "ftp://x": unsupported scheme: ftp.  {NAMING}]',
        ),
    ],
)
def test_values_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(text)
    assert str(caught.value) == f"failed to validate tracing configuration: {why}"


@pytest.mark.parametrize(
    ("text", "head", "why"),
    [
        ("foo: 2", HEAD, 'strict decoding error: unknown field "foo"'),
        (
            "",
            HEAD.replace("/v1", "/v2"),
            'no kind "TracingConfiguration" is registered for version "apiserver.config',
        ),
        (
            "",
            HEAD.replace(".config", ""),
            'no kind "TracingConfiguration" is registered for version "apiserver.k8s',
        ),
        ("- a", HEAD, "["),
    ],
)
def test_files_that_cannot_be_read(text: str, head: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(text, head)
    lead = "failed to read tracing config: unable to decode tracing configuration data: "
    assert str(caught.value).startswith(lead + why)


@pytest.mark.parametrize(
    "text", ["samplingRatePerMillion: abc", "endpoint: 5", "samplingRatePerMillion: true"]
)
def test_values_of_another_type_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="it must be"):
        loaded(text)


def test_a_file_that_is_not_there(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigurationError) as caught:
        load(str(path))
    assert str(caught.value) == (
        "failed to read tracing config: unable to read tracing configuration from "
        f'"{path}": open {path}: no such file or directory'
    )


def test_where_an_endpoint_leads() -> None:
    assert target("dns://8.8.8.8/a:1") == "dns:///a:1" and target("a:1") == "a:1"
    assert address("a:1") == address("dns:///a:1") == address("dns://8.8.8.8/a:1") == ("a", 1)
    assert address("[::1]:5") == ("::1", 5) and address("a") == ("a", 443)
    assert address("unix:///run/x") is None and address("unix-abstract:x") is None
