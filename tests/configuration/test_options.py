import contextlib
import math
import pathlib
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.configuration import options
from pilothouse.configuration.config import all_flags
from pilothouse.configuration.flags import Flag, FlagError, duration, show_duration
from pilothouse.configuration.options import ConfigError


def problems(*arguments: str) -> Sequence[str]:
    with pytest.raises(ConfigError) as caught:
        options.parse(arguments)
    return caught.value.problems


def test_defaults() -> None:
    config = options.parse([])
    assert (config.serving.secure_port, config.serving.bind_address) == (6443, "0.0.0.0")
    assert config.requests.request_timeout == 60 and config.objects.event_ttl == 3600
    assert config.store.storage_backend == "sqlite" and config.authentication.anonymous_auth
    assert config.objects.service_node_port_range == (30000, 32767)
    assert str(config.objects.service_networks[0]) == "10.0.0.0/24"
    assert config.authorization.modes == ("Node", "RBAC")
    assert config.authentication.service_accounts.issuers == ("https://kubernetes.default.svc",)
    assert config.given == frozenset() and config.ignored() == []


def test_every_form_of_a_flag() -> None:
    arguments = [
        "--secure-port=1 --secure_port 2 -secure-port=7443 --allow-privileged --anonymous-auth=false",
        (
            "--authorization-mode=Node,RBAC --service-account-issuer https://a"
            " --service-account-issuer=https://b"
        ),
        "--enable-admission-plugins=Priority --enable-admission-plugins=LimitRanger,RuntimeClass",
        "--event-ttl=1h30m -v4 --controllers=-*",
        (
            "--feature-gates=A=true,kube:B=false --runtime-config=api/all=true,x/v1=false,api/v1"
            " --vmodule=http*=3,a=1"
        ),
        "--service-node-port-range=30000+10 --tls-cipher-suites=",
    ]
    config = options.parse(" ".join(arguments).split(" "))
    assert config.serving.secure_port == 7443 and config.objects.allow_privileged
    assert config.authorization.modes == ("Node", "RBAC") and not config.authentication.anonymous_auth
    assert config.authentication.service_accounts.issuers == ("https://a", "https://b")
    assert config.admission.enable_admission_plugins == ("Priority", "LimitRanger", "RuntimeClass")
    assert config.objects.event_ttl == 5400 and config.logs.v == 4
    assert config.api.feature_gates == {"A": True, "B": False}
    assert config.api.runtime_config == {"api/all": "true", "x/v1": "false", "api/v1": ""}
    assert config.logs.vmodule == (("http*", 3), ("a", 1))
    assert config.objects.service_node_port_range == (30000, 30010)
    for form, level in ((["-v=2"], 2), (["-v", "3"], 3), (["--v=5"], 5)):
        assert options.parse(form).logs.v == level
    suites = ["--tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
    assert options.parse(suites).serving.tls_cipher_suites == (suites[1],)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--x"], "unknown flag: --x"),
        (["--insecure-port=0"], "unknown flag: --insecure-port"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["--secure-port"], "flag needs an argument: --secure-port"),
        (["-v"], "flag needs an argument: 'v' in -v"),
        (["--=1"], "bad flag syntax: --=1"),
        (["---v"], "bad flag syntax: ---v"),
        (["serve", "", "now"], '"kube-apiserver" does not take any arguments, got ["serve" "now"]'),
        (["--", "--v=1"], '"kube-apiserver" does not take any arguments, got ["--v=1"]'),
    ],
)
def test_what_cannot_be_read(arguments: list[str], message: str) -> None:
    with pytest.raises(FlagError) as caught:
        options.parse(arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("secure-port", "a", 'strconv.ParseInt: parsing "a": invalid syntax'),
        ("secure-port", str(1 << 63), f'strconv.ParseInt: parsing "{1 << 63}": value out of range'),
        ("profiling", "x", 'strconv.ParseBool: parsing "x": invalid syntax'),
        ("goaway-chance", "x", 'strconv.ParseFloat: parsing "x": invalid syntax'),
        ("event-ttl", "5", 'time: missing unit in duration "5"'),
        ("bind-address", "x", 'failed to parse IP: "x"'),
        ("oidc-required-claim", "x", "malformed pair, expect string=string"),
        ("allow-metric-labels", "x", "x must be formatted as key=value"),
        ("feature-gates", "A", "missing bool value for A"),
        ("feature-gates", "A=2", 'invalid value of A=2, err: strconv.ParseBool: parsing "2": invalid syntax'),
        ("tls-sni-cert-key", "a", "expected comma separated certificate and key file paths"),
        ("vmodule", "a=b", "syntax error: expect comma-separated list of filename=N"),
    ],
)
def test_values_that_cannot_be_read(name: str, value: str, why: str) -> None:
    with pytest.raises(FlagError) as caught:
        options.parse([f"--{name}={value}"])
    assert str(caught.value) == f'invalid argument "{value}" for "--{name}" flag: {why}'
    with pytest.raises(FlagError, match=r'^invalid argument "a" for "-v, --v" flag: '):
        options.parse(["-va"])


def test_all_problems_are_told_at_once(tmp_path: pathlib.Path) -> None:
    arguments = (
        "--secure-port=0 --goaway-chance=0.5 --authorization-mode=RBAC,Foo,RBAC --tls-min-version=TLS1 "
        "--service-cluster-ip-range=10.0.0.0/30 --storage-backend=etcd2 --tls-cipher-suites=NOPE "
        "--logging-format=x"
    )
    found = problems(*arguments.split(), f"--client-ca-file={tmp_path}/none")
    assert "--secure-port 0 must be between 1 and 65535, inclusive. It cannot be turned off with 0" in found
    assert "--goaway-chance can not be less than 0 or greater than 0.02" in found
    assert 'authorization-mode "Foo" is not a valid mode' in found
    assert "authorization-mode [RBAC Foo RBAC] has mode specified more than once" in found
    assert 'unknown tls version "TLS1"' in found
    assert f"--client-ca-file: open {tmp_path}/none: no such file or directory" in found
    assert "the service cluster IP range must be at least 8 IP addresses" in found
    assert "Cipher suite NOPE not supported or doesn't exist" in found
    assert len(found) == 10


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--authorization-mode=ABAC"], "ABAC's authorization policy file not passed"),
        (["--authorization-mode=Webhook"], "Webhook's authorization config file not passed"),
        (["--oidc-issuer-url=https://a"], "oidc-issuer-url and oidc-client-id"),
        (["--service-account-max-token-expiration=1m"], "between 1 hour and 2^32 seconds"),
        (["--kubernetes-service-node-port=80"], "doesn't contain 80"),
        (["--strict-transport-security-directives=x"], "allowed values: max-age=expireTime"),
        (["--cors-allowed-origins=example.com"], "does not pin to start/end of host in the origin header"),
        (["--cors-allowed-origins=^(a$"], "--cors-allowed-origins has an invalid regular expression: "),
        (["--tls-curve-preferences=29,29"], "duplicate curve preference 29"),
        (["--tls-curve-preferences=0"], "curve preference 0 is out of range (must be 1-65535)"),
        (["--tls-curve-preferences=7"], "curve preference 7 is not supported"),
        (["--runtime-config=api/all=false"], "conflicts with --enable-priority-and-fairness=true"),
        (["--enable-admission-plugins=Priority", "--disable-admission-plugins=Priority"], "overlapped"),
        (["--enable-admission-plugins=Nonsense"], 'enable-admission-plugins plugin "Nonsense" is unknown'),
        (["--disable-admission-plugins=Nonsense"], 'disable-admission-plugins plugin "Nonsense" is unknown'),
        (["--admission-control=Nonsense"], 'admission-control plugin "Nonsense" is unknown'),
        (["--admission-control=Priority", "--enable-admission-plugins=Priority"], "mutually exclusive"),
        (
            ["--audit-log-path=-", "--audit-log-mode=fast"],
            'invalid audit log mode fast, allowed modes are "batch,blocking,blocking-strict"',
        ),
        (
            ["--audit-log-path=-", "--audit-log-format=xml"],
            'invalid audit log format xml, allowed formats are "legacy,json"',
        ),
        (
            ["--audit-log-path=-", "--audit-log-version=audit.k8s.io/v2"],
            'invalid group version, allowed versions are ["audit.k8s.io/v1"]',
        ),
        (
            ["--audit-log-path=-", "--audit-log-version=a/b/c"],
            "unexpected GroupVersion string: a/b/c",
        ),
        (["--audit-log-path=-", "--audit-log-maxage=-1"], "--audit-log-maxage -1 can't be a negative number"),
        (
            ["--audit-log-path=-", "--audit-log-mode=batch", "--audit-log-batch-buffer-size=0"],
            "invalid audit batch log buffer size 0, must be a positive number",
        ),
        (
            ["--audit-webhook-config-file=/dev/null", "--audit-webhook-batch-throttle-qps=0"],
            "invalid audit batch webhook throttle QPS 0, must be a positive number",
        ),
        (
            ["--audit-webhook-config-file=/dev/null", "--audit-webhook-truncate-max-batch-size=5"],
            "invalid audit truncate webhook max batch size 5, must be greater than max event size (102400)",
        ),
        (
            ["--audit-log-path=-", "--audit-log-truncate-max-event-size=0"],
            "invalid audit truncate log max event size 0, must be a positive number",
        ),
        (["--service-cluster-ip-range=10.0.0.0/16,10.1.0.0/16"], "different IP families"),
        (["--request-timeout=-1s"], "--request-timeout can not be a negative value"),
        (["--storage-backend=etcd3"], "--etcd-servers must be specified"),
        (
            ["--encryption-provider-config-automatic-reload"],
            "--encryption-provider-config-automatic-reload must be set with --encryption-provider-config",
        ),
        (
            ["--disabled-metrics=a b"],
            (
                'metrics.disabledMetrics: Invalid value: ["a b"]: must be fully qualified metric names'
                ' matching "^[a-zA-Z_:][a-zA-Z0-9_:]*$", got "a b"'
            ),
        ),
        (
            ["--allow-metric-labels=m=v"],
            (
                'metrics.allowListMapping: Invalid value: {"m":"v"}: must have keys with format'
                ' `metricName,labelName` where metricName matches "[a-zA-Z_:][a-zA-Z0-9_:]*" and labelName'
                ' matches "[a-zA-Z_][a-zA-Z0-9_]*"'
            ),
        ),
        (
            ["--show-hidden-metrics-for-version=1.30"],
            (
                'metrics.showHiddenMetricsForVersion: Invalid value: "1.30": must be omitted or have the'
                " value '1.35'; only the previous minor version is allowed"
            ),
        ),
        (
            ["--allow-metric-labels-manifest=/nope"],
            (
                'metrics.allowListMappingManifest: Invalid value: "/nope": failed to read allow list'
                " manifest: open /nope: no such file or directory"
            ),
        ),
        (
            ["--allow-metric-labels=m,l=a", "--allow-metric-labels-manifest=/dev/null"],
            (
                "metrics: Invalid value:"
                ' {"allowListMapping":{"m,l":"a"},"allowListMappingManifest":"/dev/null"}: cannot specify'
                " both allowListMapping and allowListMappingManifest"
            ),
        ),
        (["--metrics-profile=tiny"], '--metrics-profile "tiny" must be full or small'),
        (["--requestheader-group-headers=X-Remote-Group, "], 'empty value in "requestheader-group-headers"'),
        (["--requestheader-uid-headers=X-Uid"], "without specifying the standard X-Remote-Uid header"),
        (["--workers=0"], "must be at least 1"),
        (["--workers=2"], "the sqlite store is for one process"),
        (["--history", "--storage-backend=memory"], "--history needs --storage-backend=sqlite or etcd3"),
        (["--service-account-issuer=a b:c d"], "was not a valid URL"),
    ],
)
def test_single_problems(arguments: list[str], part: str) -> None:
    found = problems(*arguments)
    assert len(found) == 1 and part in found[0]


def test_flags_without_effect_are_named() -> None:
    config = options.parse(["--kubelet-timeout=1s", "--secure-port=1", "--enable-logs-handler=false"])
    assert config.ignored() == ["enable-logs-handler", "kubelet-timeout"]


def test_what_has_no_effect_is_named() -> None:
    config = options.parse(["--kubelet-timeout=1s", "--max-connection-bytes-per-sec=5", "--event-ttl=1h"])
    assert sorted(config.ignored()) == ["kubelet-timeout", "max-connection-bytes-per-sec"]


def test_help() -> None:
    text = options.help_text("kube-apiserver", 100)
    for flag in all_flags():
        assert (re.search(rf"--{flag.name}[ \n\[]", text) is not None) == (not flag.deprecated), flag.name
        assert flag.help.endswith(".")
    assert "--insecure-port" not in text
    assert (
        "\nSecure serving flags:\n" in text
        and "\nPilothouse flags:\n" in text
        and "\nAPI enablement flags:\n" in text
    )
    assert "(default 1m0s)" in text and "(default 30000-32767)" in text and "(default [RS256])" in text
    assert max(map(len, text.partition("Usage:")[2].splitlines())) <= 100
    assert (
        options.asks_for(["--help"]) == options.asks_for(["-h"]) == "help"
        and options.asks_for(["--version"]) == "version"
    )
    assert options.asks_for([]) == options.asks_for(["--help=false"]) == ""


def test_durations() -> None:
    for text, seconds in {
        "1h2m3.5s": 3723.5,
        "0": 0,
        "-1.5h": -5400,
        "100ms": 0.1,
        "1us": 1e-6,
        ".5s": 0.5,
    }.items():
        assert duration(text) == pytest.approx(seconds)
    for text in ("", "s", "1", "1x", "1s ", "--1s", "1s2", "é"):
        with pytest.raises(ValueError, match=r"^time: "):
            duration(text)
    assert [show_duration(s) for s in (0, 0.5, 5, 60, 3600, 5400.5)] == [
        "0s",
        "500ms",
        "5s",
        "1m0s",
        "1h0m0s",
        "1h30m0.5s",
    ]


@given(st.integers(1, 10**6))
def test_durations_are_shown_as_they_are_read(tenths: int) -> None:
    seconds = tenths / 10
    assert math.isclose(duration(show_duration(seconds)), seconds, rel_tol=1e-4)


@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_command_line_is_read_or_refused(arguments: list[str]) -> None:
    with contextlib.suppress(FlagError, ConfigError):
        options.parse(arguments)


@given(st.sampled_from([flag.name for flag in all_flags()]), st.text(max_size=15))
def test_any_value_is_read_or_refused(name: str, value: str) -> None:
    with contextlib.suppress(FlagError, ConfigError):
        options.parse([f"--{name}={value}"])


def test_a_plugin_that_is_missing_may_be_switched_off() -> None:
    assert options.parse(["--disable-admission-plugins=NodeDeclaredFeatureValidator,ResourceQuota"])


def test_some_defaults_hang_on_the_command() -> None:
    assert not options.parse([]).authentication.enable_bootstrap_token_auth
    assert options.parse([], ours=True).authentication.enable_bootstrap_token_auth
    off = options.parse(["--enable-bootstrap-token-auth=false"], ours=True)
    assert not off.authentication.enable_bootstrap_token_auth
    assert off.diagnostics.console and not options.parse([]).diagnostics.console


@pytest.mark.parametrize(
    ("flag", "wanted"),
    [
        ("--console", True),
        ("--console=true", True),
        ("--console=0", False),
        ("--console=read-only", "read-only"),
    ],
)
def test_the_console_may_be_read_only(flag: str, wanted: bool | str) -> None:
    assert options.parse([flag]).diagnostics.console == wanted


def test_another_kind_of_console_is_refused() -> None:
    with pytest.raises(FlagError, match='must be "true", "false" or "read-only"'):
        options.parse(["--console=readonly"])


def test_flags_of_commands() -> None:
    extra = (Flag("more", "strings", ("a",), "command", ""), Flag("less", "string", "", "command", ""))
    config, values, rest = options.parse_command(["x", "--more=b,c", "--secure-port=7443", "y"], extra)
    assert (values, list(rest)) == ({"more": ("b", "c"), "less": ""}, ["x", "y"])
    assert config.serving.secure_port == 7443 and config.given == {"secure-port"}
    assert options.parse_command([], extra)[1] == {"more": ("a",), "less": ""}
    with pytest.raises(FlagError):
        options.parse_command(["--most"], extra)


def test_an_egress_selector_configuration_that_is_missing(tmp_path: pathlib.Path) -> None:
    found = problems(f"--egress-selector-config-file={tmp_path}/none")
    assert found == (f"egress-selector-config-file {tmp_path}/none does not exist",)


def test_labels_of_metrics_are_one_pair_or_a_line_of_several() -> None:
    config = options.parse(
        ["--allow-metric-labels=a,x=1,2", '--allow-metric-labels="b,y=3,4","c,z="', "--disabled-metrics=d,e"]
    )
    assert config.metrics.allow_metric_labels == {"a,x": "1,2", "b,y": "3,4", "c,z": ""}
    assert config.metrics.disabled_metrics == ("d", "e")
