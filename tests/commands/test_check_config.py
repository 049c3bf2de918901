"""`pilothouse check-config`: every error at once, with its file and line."""

from pathlib import Path

import pytest

from pilothouse import cli, pki
from pilothouse.commands.config_files import located
from pilothouse.commands.config_readers import READERS
from pilothouse.configuration import options

FILES = {
    "audit-policy-file": (
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n- level: What\n- users: [a]\n",
        ['5: rules[1].level: Unsupported value: "What"', "6: rules[2].level: Required value"],
    ),
    "authorization-config": (
        (
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n"
            "- type: Foo\n  name: a\n- type: RBAC\n  name: ''\n"
        ),
        ['4: authorizers[0].type: Unsupported value: "Foo"', "7: authorizers[1].name: Required value"],
    ),
    "authentication-config": (
        (
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n   "
            " url: http://a\n"
        ),
        ['5: jwt[0].issuer.url: Invalid value: "http://a"', "4: jwt[0].issuer.audiences: Required value"],
    ),
    "encryption-provider-config": (
        (
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources:"
            " [secrets]\n  providers:\n  - aesgcm:\n      keys:\n      - name: a\n        secret: YQ==\n"
        ),
        ["9: resources[0].providers[0].aesgcm.keys[0].secret: Invalid value"],
    ),
    "admission-control-config-file": (
        (
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name:"
            " PodSecurity\n  pth: x\n"
        ),
        ['5: unknown field "plugins[0].pth"'],
    ),
    "egress-selector-config-file": (
        (
            "apiVersion: apiserver.k8s.io/v1beta1\nkind: EgressSelectorConfiguration\negressSelections:\n-"
            " name: cluster\n  connection:\n    protocol: Foo\n"
        ),
        ['6: unknown field "egressSelections[0].connection.protocol"'],
    ),
    "audit-webhook-config-file": ("a: [\n b: }\n", ["2: did not find expected node content"]),
    "client-ca-file": ("x\n", [" "]),
    "tracing-config-file": (
        "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoit: a\n",
        ['3: unknown field "endpoit"'],
    ),
    "token-auth-file": ("a,b\n", [" token file"]),
    "service-account-key-file": ("x\n", [" "]),
}


def test_every_error_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags, wanted = ["--secure-port=0"], ["--secure-port 0 must be between"]
    for flag, (text, errors) in FILES.items():
        file = tmp_path / flag
        file.write_text(text)
        flags.append(f"--{flag}={file}")
        wanted += [f"{file}:{error}" for error in errors]
    assert cli.main(["check-config", *flags, f"--etcd-cafile={tmp_path}/missing"]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [one for one in wanted if not any(line.startswith(one) for line in lines)] == [], out
    assert f"--etcd-cafile: open {tmp_path}/missing: no such file or directory" in lines
    assert err == f"Error: {len(lines)} errors\n"


def test_certificates_and_kubeconfigs_that_files_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pki.prepare(options.parse([f"--data-dir={tmp_path}"]))
    hook = tmp_path / "hook.yaml"
    hook.write_text("kind: Config\n")
    file = tmp_path / "authz.yaml"
    file.write_text(
        f"""apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: hook
  webhook:
    timeout: 3s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    authorizedTTL: 1s
    unauthorizedTTL: 1s
    connectionInfo: {{type: KubeConfigFile, kubeConfigFile: {hook}}}
"""
    )
    cert, key = f"--tls-cert-file={tmp_path}/apiserver.crt", f"--tls-private-key-file={tmp_path}"
    wrong = [f"--authorization-config={file}", cert, f"{key}/admin.key"]
    assert cli.main(["check-config", *wrong]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2, lines
    assert lines[0].startswith(f"{hook}: invalid configuration") and lines[0].endswith(
        "(--authorization-config)"
    )
    assert lines[1].startswith(f"{tmp_path}/apiserver.crt: the certificate cannot be used with the key")
    assert (
        cli.main(["check-config", cert, f"{key}/apiserver.key", f"--client-ca-file={tmp_path}/ca.crt"]) == 0
    )
    assert capsys.readouterr().out == "the flags are right, and so are 3 files\n"
    assert cli.main(["check-config"]) == 0


def test_yaml_that_cannot_be_read_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a:\n  b: }\n")
    [problem] = located(
        "audit-policy-file", str(file), "failed: [yaml: line 2: did not find expected node content]"
    )
    assert str(problem) == f"{file}:2: did not find expected node content (--audit-policy-file)"


def test_each_reader_is_of_a_flag() -> None:
    from pilothouse.configuration.config import all_flags

    assert READERS.keys() <= {flag.name for flag in all_flags() if flag.kind in ("file", "files")}
