"""An operator with everything that operators bring: CEL rules, a conversion webhook and a validating webhook.

It is written with `kopf`, runs in a process of its own,
and is tested by the pytest plugin as its authors would.
"""

import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from eventually import eventually

from pilothouse.pki import CertificateAuthority, pem
from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import APIServer, environment

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

GROUP = "wardrobe.example.com"

OPERATOR = '''
import os
import ssl

import kopf
from aiohttp import web

CERT, CA = os.environ["HOOK_CERT"], os.environ["HOOK_CA"]
ADMISSION, CONVERSION = (int(port) for port in os.environ["HOOK_PORTS"].split(","))


def converted(obj, to):
    """v1 has a color as text, v2 has its name and whether it is dark."""
    spec = dict(obj["spec"])
    if to.endswith("/v2"):
        tone, _, name = spec.pop("color").rpartition(" ")
        spec["shade"] = {"name": name, "dark": tone == "dark"}
    else:
        shade = spec.pop("shade")
        spec["color"] = f"dark {shade['name']}" if shade.get("dark") else shade["name"]
    return {**obj, "apiVersion": to, "spec": spec}


async def convert(request):
    review = await request.json()
    asked = review["request"]
    made = [converted(obj, asked["desiredAPIVersion"]) for obj in asked["objects"]]
    review["response"] = {"uid": asked["uid"], "convertedObjects": made, "result": {"status": "Success"}}
    del review["request"]
    return web.json_response(review)


@kopf.on.startup()
async def start(settings, memo, **_):
    settings.networking.request_timeout = 10
    settings.admission.managed = "auto.kopf.dev"
    settings.admission.server = kopf.WebhookServer(
        addr="127.0.0.1", host="127.0.0.1", port=ADMISSION, certfile=CERT, pkeyfile=CERT, cafile=CA
    )
    app = web.Application()
    app.router.add_post("/convert", convert)
    memo.runner = web.AppRunner(app)
    await memo.runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERT)
    await web.TCPSite(memo.runner, "127.0.0.1", CONVERSION, ssl_context=context).start()


@kopf.on.cleanup()
async def stop(memo, **_):
    await memo.runner.cleanup()


@kopf.on.validate("wardrobe.example.com", "v2", "shirts", id="taste")
def taste(spec, warnings, **_):
    if spec["shade"]["name"] == "beige":
        raise kopf.AdmissionError("nobody wears beige", code=406)
    if spec["shade"].get("dark"):
        warnings.append("hard to see at night")


@kopf.on.create("wardrobe.example.com", "v2", "shirts")
def sewn(spec, patch, **_):
    patch.status["label"] = f"{spec['shade']['name']}, size {spec['size']}"
'''


def definition(url: str, ca: bytes) -> dict[str, Any]:
    """Shirts in two versions, the older of them stored,
    with rules for what they are and how they may change."""

    def version(name: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
        size = {
            "type": "integer",
            "x-kubernetes-validations": [
                {"rule": "self >= 30 && self % 2 == 0", "message": "there is no such size"},
                {"rule": "self >= oldSelf", "message": "shirts do not shrink"},
            ],
        }
        properties = {
            "spec": {"type": "object", "properties": {**spec, "size": size}, "required": ["size"]},
            "status": {"type": "object", "properties": {"label": {"type": "string"}}},
        }
        schema = {"type": "object", "properties": properties, "required": ["spec"]}
        out = {"name": name, "served": True, "storage": name == "v1", "subresources": {"status": {}}}
        return {**out, "schema": {"openAPIV3Schema": schema}, **more}

    named = {"rule": "self != 'plaid'", "messageExpression": "'no ' + self + ' this year'"}
    text = {"type": "string", "maxLength": 40, "x-kubernetes-validations": [named]}
    shade = {
        "type": "object",
        "properties": {"name": text, "dark": {"type": "boolean", "default": False}},
        "x-kubernetes-validations": [{"rule": "!self.name.contains(' ')", "message": "one word is enough"}],
    }
    hook = {
        "clientConfig": {"url": url, "caBundle": base64.b64encode(ca).decode()},
        "conversionReviewVersions": ["v1"],
    }
    spec = {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "shirts", "singular": "shirt", "kind": "Shirt"},
        "versions": [version("v1", {"color": text}), version("v2", {"shade": shade})],
        "conversion": {"strategy": "Webhook", "webhook": hook},
    }
    return {"metadata": {"name": f"shirts.{GROUP}"}, "spec": spec}


class Shirts:
    """A client of the shirts in the namespace `default`."""

    def __init__(self, api: Any) -> None:
        self.api = kubernetes.client.CustomObjectsApi(api)

    def place(self, version: str) -> tuple[str, str, str, str]:
        return GROUP, version, "default", "shirts"

    def make(self, version: str, name: str, **spec: Any) -> Any:
        body = {"apiVersion": f"{GROUP}/{version}", "kind": "Shirt", "metadata": {"name": name}, "spec": spec}
        return self.api.create_namespaced_custom_object(*self.place(version), body)

    def get(self, version: str, name: str) -> Any:
        return self.api.get_namespaced_custom_object(*self.place(version), name)

    def list(self, version: str) -> Any:
        return self.api.list_namespaced_custom_object(*self.place(version))["items"]

    def patch(self, version: str, name: str, **spec: Any) -> Any:
        return self.api.patch_namespaced_custom_object(*self.place(version), name, {"spec": spec})


def refused(call: Any, *args: Any, **kwargs: Any) -> str:
    """The body of a request's refusal."""
    with pytest.raises(kubernetes.client.ApiException) as caught:
        call(*args, **kwargs)
    return str(caught.value.body)


@contextmanager
def running(server: APIServer, folder: Path) -> Iterator[Shirts]:
    """The operator and its definition; when the test fails, what the operator said is the error."""
    authority = CertificateAuthority.create("hooks")
    cert, key = authority.issue("hooks", hosts=("127.0.0.1",), server=True)
    (folder / "tls.pem").write_bytes(cert + key)
    (folder / "ca.pem").write_bytes(pem(authority.certificate))
    program, log = folder / "operator.py", folder / "log"
    program.write_text(OPERATOR)
    ports = free_ports(2)
    given = {
        "HOOK_CERT": str(folder / "tls.pem"),
        "HOOK_CA": str(folder / "ca.pem"),
        "HOOK_PORTS": ",".join(map(str, ports)),
    }
    client = kubernetes.config.new_client_from_config(str(server.kubeconfig))
    made = definition(f"https://127.0.0.1:{ports[1]}/convert", pem(authority.certificate))
    kubernetes.client.ApiextensionsV1Api(client).create_custom_resource_definition(made)
    with log.open("w") as out:
        command = [sys.executable, "-m", "kopf", "run", str(program), "--namespace=default", "--standalone"]
        operator = subprocess.Popen(command, env={**environment(server), **given}, stdout=out, stderr=out)
    try:
        shirts = Shirts(client)
        eventually(lambda: _served(shirts), "the definition and its webhook", 20)
        yield shirts
    except AssertionError as err:
        raise AssertionError(log.read_text()[-4000:]) from err
    finally:
        operator.terminate()
        operator.wait(15)
        client.close()


def _served(shirts: Shirts) -> bool:
    """Whether shirts can be had in the version that is not stored: a dry run needs the operator's webhook."""
    try:
        probe = {"apiVersion": f"{GROUP}/v2", "kind": "Shirt", "metadata": {"name": "probe"}}
        probe["spec"] = {"shade": {"name": "red"}, "size": 30}
        shirts.api.create_namespaced_custom_object(*shirts.place("v2"), probe, dry_run="All")
    except kubernetes.client.ApiException:
        return False
    return True


@pytest.mark.slow
def test_conversion_and_rules(kube: APIServer, tmp_path: Path) -> None:
    with running(kube, tmp_path) as shirts:
        shirts.make("v1", "a", color="dark blue", size=40)
        assert shirts.get("v2", "a")["spec"] == {"shade": {"name": "blue", "dark": True}, "size": 40}
        shirts.make("v2", "b", shade={"name": "red"}, size=38)
        assert shirts.get("v1", "b")["spec"] == {"color": "red", "size": 38}
        for version in ("v1", "v2"):
            found = shirts.list(version)
            assert [one["metadata"]["name"] for one in found] == ["a", "b"]
            assert {one["apiVersion"] for one in found} == {f"{GROUP}/{version}"}
        eventually(
            lambda: (
                [one.get("status") for one in shirts.list("v1")]
                == [{"label": "blue, size 40"}, {"label": "red, size 38"}]
            ),
            "what the operator makes of shirts that it watches in the other version",
            20,
        )
        assert "there is no such size" in refused(shirts.make, "v1", "c", color="red", size=31)
        assert "no plaid this year" in refused(shirts.make, "v1", "c", color="plaid", size=30)
        assert "no plaid this year" in refused(shirts.make, "v2", "c", shade={"name": "plaid"}, size=30)
        assert "one word is enough" in refused(shirts.make, "v2", "c", shade={"name": "a b"}, size=30)
        assert "shirts do not shrink" in refused(shirts.patch, "v2", "a", size=38)
        assert shirts.patch("v2", "a", size=42)["spec"]["size"] == 42
        assert shirts.get("v1", "a")["spec"] == {"color": "dark blue", "size": 42}


def test_validation(kube: APIServer, tmp_path: Path) -> None:
    """The operator sees shirts in the version that it asks for, whatever version they come in."""
    with running(kube, tmp_path) as shirts:
        eventually(
            lambda: "nobody wears beige" in refused(_dry, shirts, "beige"),
            "the operator's webhook configuration",
            20,
        )
        for version, spec in (("v2", {"shade": {"name": "beige"}}), ("v1", {"color": "dark beige"})):
            why = refused(shirts.make, version, "c", size=40, **spec)
            assert 'admission webhook \\"taste.auto.kopf.dev\\" denied the request: nobody wears beige' in why
        shirts.make("v1", "d", color="dark blue", size=40)
        assert "nobody wears beige" in refused(shirts.patch, "v1", "d", color="beige")
        assert shirts.get("v1", "d")["spec"]["color"] == "dark blue"


def _dry(shirts: Shirts, color: str) -> None:
    """A shirt that is made for nothing; an ApiException in any case."""
    body = {"apiVersion": f"{GROUP}/v2", "kind": "Shirt", "metadata": {"name": "probe"}}
    body["spec"] = {"shade": {"name": color}, "size": 30}
    shirts.api.create_namespaced_custom_object(*shirts.place("v2"), body, dry_run="All")
    raise kubernetes.client.ApiException(http_resp=None, reason="it was taken")
