"""The transcripts of docs/troubleshooting.md: runs their commands, and compares or writes what they print.

    PYTHONPATH=tests python tools/transcripts.py     writes the page anew (`make transcripts`)

A comment `<!-- run: NAME -->` prepares something that no command of a reader would: a method of Stage.
"""

import asyncio
import base64
import datetime
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import sysconfig
import tempfile
from typing import Any, Self

import yaml
from certificates import expired
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pilothouse.authn import keys
from pilothouse.commands.api import Api
from pilothouse.testing.server import Subprocess

PAGE = pathlib.Path(__file__).parents[1] / "docs/troubleshooting.md"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
BLOCK = re.compile(r"(?:<!-- run: (?P<run>\w+) -->)|(?:```console\n(?P<console>.*?)```)", re.S)

EXPIRED = int(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp())
"""The time at which the expired token has expired."""

CHANGING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\b\d+(\.\d+)?(us|ms|s)\b", "SECONDS"),
    (r"\b\d\.\d{3} s\b", "SECONDS"),
    (r"process \d+ of apiserver-\w+", "PROCESS"),
    (r"kubectl/v\S+ \(\S+\)\s+kubernetes/\w+", "KUBECTL"),
    (r"\b\d+ bytes", "BYTES"),
    (r"revision \d+", "REVISION"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"SN=\d+", "SERIAL"),
    (r"\s+", " "),
    (r"SECONDS, most of it \(SECONDS\) in the stage", "SECONDS, most of it"),
)
"""The parts that differ from one run to the next; columns move with them."""


def settled(text: str) -> str:
    """A text without what differs from one run to the next."""
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text)
    return text.strip()


class Stage:
    """A server, a folder in which commands run, and what the page needs beside."""

    def __init__(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="transcripts-"))
        self.server = Subprocess(["--advertise-address=127.0.0.1"])
        self.silent = socket.create_server(("127.0.0.1", 0))
        """Takes connections and never answers."""

    def __enter__(self) -> Self:
        self.server.start()
        shim = self.folder / "bin/pilothouse"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m pilothouse "$@"\n')
        shim.chmod(0o755)
        self.api = Api(self.server.kubeconfig)
        self._kubeconfig("plain", {})
        return self

    def __exit__(self, *error: object) -> None:
        self.server.stop()
        self.silent.close()

    def run(self, command: str) -> str:
        """The output of a command, in the order in which a terminal shows it."""
        scripts = sysconfig.get_path("scripts")
        environment = {
            **os.environ,
            "PATH": f"{self.folder}/bin:{scripts}:{os.environ['PATH']}",
            "KUBECONFIG": str(self.server.kubeconfig),
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout

    def _kubeconfig(self, name: str, user: dict[str, str]) -> None:
        config = yaml.safe_load(self.server.kubeconfig.read_text())
        config["users"][0]["user"] = user
        (self.folder / f"{name}.kubeconfig").write_text(yaml.safe_dump(config))

    # What comments of the page ask for

    def make_expired_token(self) -> None:
        """A token of the service account default that has expired."""
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        made = self.api.call("POST", f"{path}/token", {"spec": {}})["status"]["token"]
        payload = made.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        claims.update(iat=EXPIRED - 3600, nbf=EXPIRED - 3600, exp=EXPIRED)
        sign = keys.signing_with(keys.load_private((self.server.directory / "sa.key").read_bytes()))
        (self.folder / "expired.token").write_text(asyncio.run(_signed(sign, claims)))

    def make_certificates(self) -> None:
        """Certificates of another CA, and one that has expired."""
        other = self.folder / "other"
        command = [sys.executable, "-m", "pilothouse", "kubeconfig", "--create", f"--data-dir={other}"]
        made = subprocess.run([*command, "--user=jane"], check=True, capture_output=True, text=True).stdout
        self._kubeconfig("stranger", yaml.safe_load(made)["users"][0]["user"])
        keys_of = {name: (self.server.directory / f"ca.{name}").read_bytes() for name in ("crt", "key")}
        issuer_key = serialization.load_pem_private_key(keys_of["key"], None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        pem = base64.b64encode(
            expired(x509.load_pem_x509_certificate(keys_of["crt"]), issuer_key, "jane")
        ).decode()
        self._kubeconfig("expired", {"client-certificate-data": pem, "client-key-data": pem})

    def make_users(self) -> None:
        """A certificate for jane."""
        command = [sys.executable, "-m", "pilothouse", "kubeconfig", f"--data-dir={self.server.directory}"]
        made = subprocess.run([*command, "--user=jane"], check=True, capture_output=True, text=True).stdout
        self._kubeconfig("jane", yaml.safe_load(made)["users"][0]["user"])

    def make_policy(self) -> None:
        """A policy that bounds the replicas of deployments."""
        rule = {
            "apiGroups": ["apps"],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["deployments"],
        }
        spec = {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "object.spec.replicas <= 5", "message": "at most 5 replicas"}],
        }
        binding = {"policyName": "replicas", "validationActions": ["Deny"]}
        metadata = {"name": "replicas"}
        self.api.call(
            "POST", f"{ADMISSION}/validatingadmissionpolicies", {"metadata": metadata, "spec": spec}
        )
        self.api.call(
            "POST", f"{ADMISSION}/validatingadmissionpolicybindings", {"metadata": metadata, "spec": binding}
        )

    def make_dead_webhook(self) -> None:
        """A webhook at a port where nothing listens."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._webhook("accounts", port, "serviceaccounts", "", failurePolicy="Fail")

    def make_slow_webhook(self) -> None:
        """A webhook that takes its time, of which nobody is told."""
        self._webhook(
            "classes",
            self.silent.getsockname()[1],
            "priorityclasses",
            "scheduling.k8s.io",
            failurePolicy="Ignore",
        )

    def _webhook(self, name: str, port: int, resource: str, group: str, **more: Any) -> None:
        rule = {
            "apiGroups": [group],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": [resource],
        }
        hook = {
            "name": f"{name}.example.com",
            "clientConfig": {"url": f"https://127.0.0.1:{port}/"},
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1,
        }
        body = {"metadata": {"name": name}, "webhooks": [{**hook, **more}]}
        self.api.call("POST", f"{ADMISSION}/validatingwebhookconfigurations", body)


async def _signed(sign: keys.Sign, claims: dict[str, Any]) -> str:
    return await sign(claims)


def commands(console: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what it prints."""
    out: list[tuple[str, str]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            out.append((line[2:], ""))
        else:
            command, printed = out[-1]
            out[-1] = command, f"{printed}{line}\n"
    return out


def played(page: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The page with what its commands print now; each command, with the page's text and what it printed."""
    told: list[tuple[str, str, str]] = []
    with Stage() as stage:

        def replace(found: re.Match[str]) -> str:
            if found["run"]:
                getattr(stage, found["run"])()
                return found[0]
            lines = []
            for command, said in commands(found["console"]):
                printed = "".join(line.rstrip() + "\n" for line in stage.run(command).splitlines())
                told.append((command, said, printed))
                lines.append(f"$ {command}\n{printed}")
            return f"```console\n{''.join(lines)}```"

        return BLOCK.sub(replace, page), told


if __name__ == "__main__":
    PAGE.write_text(played(PAGE.read_text())[0])
