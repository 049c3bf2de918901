"""Every cause that security contexts can have (pkg/apis/core/validation)."""

from pods import CONTAINER, POD, pod
from rules import at, below, causes, table, within

from pilothouse.api.validate.pod.spec import validate_pod
from pilothouse.api.values.fields import Object

NEW = within("spec.containers[0].securityContext", validate_pod)
of = at(POD, "spec.securityContext", {})
own = at(POD, "spec.containers.0.securityContext", {})
windows = at(own(), "spec.containers.0.securityContext.windowsOptions", {})


def hosted(*own: bool | None, **spec: object) -> Object:
    """A pod of host processes, by what the containers say of themselves."""
    listed = [{**CONTAINER, "name": f"c{i}", "securityContext": {"windowsOptions": {"hostProcess": value}}} for i, value in enumerate(own)]
    return pod(containers=listed, **spec)


test_causes = table([
    (NEW, of(fsGroup=1, runAsUser=1, runAsGroup=1, supplementalGroups=[1]), []),
    (NEW, of(fsGroup=-1, runAsUser=2**31, runAsGroup=-1, supplementalGroups=[-1]), below("spec.securityContext", ".fsGroup: Invalid value: -1: <ID>", ".runAsUser: Invalid value: 2147483648: <ID>",
        ".runAsGroup: Invalid value: -1: <ID>", ".supplementalGroups[0]: Invalid value: -1: <ID>")),
    (NEW, pod(shareProcessNamespace=True, hostPID=True), ["spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"]),
    (NEW, of(fsGroupChangePolicy="Odd", supplementalGroupsPolicy="Odd", seLinuxChangePolicy="Odd"), below("spec.securityContext",
        '.fsGroupChangePolicy: Unsupported value: "Odd": supported values: "Always", "OnRootMismatch"', '.supplementalGroupsPolicy: Unsupported value: "Odd": supported values: "Merge", "Strict"',
        '.seLinuxChangePolicy: Unsupported value: "Odd": supported values: "MountOption", "Recursive"')),
    (NEW, of(sysctls=[{"name": "kernel.shm_rmid_forced"}, {"name": "net/ipv4/conf/eth0.1/x"}]), []),
    (NEW, of(sysctls=[{}, {"name": "A b"}, {"name": "a" * 254}, {"name": "a.b"}, {"name": "a.b"}]), ["spec.securityContext.sysctls[0].name: Required value",
        'spec.securityContext.sysctls[1].name: Invalid value: "A b": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
        'spec.securityContext.sysctls[2].name: Invalid value: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$',
        'spec.securityContext.sysctls[4].name: Duplicate value: "a.b"']),
    (NEW, pod(securityContext={"sysctls": [{"name": "net.core.x"}, {"name": "net/core/x"}]}, hostNetwork=True), below("spec.securityContext.sysctls",
        "[0].name: Invalid value: \"net.core.x\": may not be specified when 'hostNetwork' is true", "[1].name: Invalid value: \"net/core/x\": may not be specified when 'hostNetwork' is true")),
    (NEW, pod(securityContext={"sysctls": [{"name": "kernel.sem"}]}, hostIPC=True),
        ["spec.securityContext.sysctls[0].name: Invalid value: \"kernel.sem\": may not be specified when 'hostIPC' is true"]),
    (NEW, of(seccompProfile={"type": "Localhost", "localhostProfile": "a"}), []),
    (NEW, of(seccompProfile={}), ["spec.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set"]),
    (NEW, of(seccompProfile={"type": "Odd"}), ['spec.securityContext.seccompProfile.type: Unsupported value: "Odd": supported values: "Localhost", "RuntimeDefault", "Unconfined"']),
    (NEW, of(seccompProfile={"type": "Localhost"}), ["spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"]),
    (NEW, of(seccompProfile={"type": "Localhost", "localhostProfile": "/a"}), ['spec.securityContext.seccompProfile.localhostProfile: Invalid value: "/a": must be a relative path']),
    (NEW, of(seccompProfile={"type": "Unconfined", "localhostProfile": "a"}),
        ['spec.securityContext.seccompProfile.localhostProfile: Invalid value: {"Type":"Unconfined","LocalhostProfile":"a"}: can only be set when seccomp type is Localhost']),
    (NEW, of(appArmorProfile={"type": "Localhost", "localhostProfile": "a"}), []),
    (NEW, of(appArmorProfile={}), ["spec.securityContext.appArmorProfile.type: Required value: type is required when appArmorProfile is set"]),
    (NEW, of(appArmorProfile={"type": "Odd"}), ['spec.securityContext.appArmorProfile.type: Unsupported value: "Odd": supported values: "Localhost", "RuntimeDefault", "Unconfined"']),
    (NEW, of(appArmorProfile={"type": "Localhost"}), ["spec.securityContext.appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost"]),
    (NEW, of(appArmorProfile={"type": "Localhost", "localhostProfile": " a"}), ['spec.securityContext.appArmorProfile.localhostProfile: Invalid value: " a": must not be padded with whitespace']),
    (NEW, of(appArmorProfile={"type": "Localhost", "localhostProfile": "a" * 4096}), ["spec.securityContext.appArmorProfile.localhostProfile: Too long: may not be more than 4095 bytes"]),
    (NEW, of(appArmorProfile={"type": "Unconfined", "localhostProfile": "a"}),
        ['spec.securityContext.appArmorProfile.localhostProfile: Invalid value: "a": can only be set when AppArmor type is Localhost']),
    (NEW, own(runAsUser=1, procMount="Default"), []),
    (NEW, own(runAsUser=-1, runAsGroup=-1, procMount="Odd"), ["~.runAsUser: Invalid value: -1: <ID>", "~.runAsGroup: Invalid value: -1: <ID>",
        '~.procMount: Unsupported value: "Odd": supported values: "Default", "Unmasked"']),
    (NEW, own(procMount="Unmasked"), ['~.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`']),
    (NEW, own(privileged=True, allowPrivilegeEscalation=False), ["~.privileged: Forbidden: disallowed by cluster policy",
        '~: Invalid value: {"Capabilities":null,"Privileged":true,"SELinuxOptions":null,"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":false,"ProcMount":null,"SeccompProfile":null,"AppArmorProfile":null}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true']),
    (NEW, own(allowPrivilegeEscalation=False, capabilities={"add": ["CAP_SYS_ADMIN", "CAP_SYS_ADMIN"]}, seLinuxOptions={"user": "u"}),
        ['~: Invalid value: {"Capabilities":{"Add":["CAP_SYS_ADMIN","CAP_SYS_ADMIN"],"Drop":null},"Privileged":null,"SELinuxOptions":{"User":"u","Role":"","Type":"","Level":""},"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":false,"ProcMount":null,"SeccompProfile":null,"AppArmorProfile":null}: cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
        '~: Invalid value: {"Capabilities":{"Add":["CAP_SYS_ADMIN","CAP_SYS_ADMIN"],"Drop":null},"Privileged":null,"SELinuxOptions":{"User":"u","Role":"","Type":"","Level":""},"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":false,"ProcMount":null,"SeccompProfile":null,"AppArmorProfile":null}: cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN']),
    (NEW, windows(gmsaCredentialSpecName="g", gmsaCredentialSpec="s", runAsUserName="DOMAIN\\user"), []),
    (NEW, windows(gmsaCredentialSpecName="G_", gmsaCredentialSpec="", runAsUserName=""), below("~.windowsOptions", '.gmsaCredentialSpecName: Invalid value: "G_": <RFC 1123 subdomain>',
        '.gmsaCredentialSpec: Invalid value: "": gmsaCredentialSpec cannot be an empty string', '.runAsUserName: Invalid value: "": runAsUserName cannot be an empty string')),
    (NEW, windows(runAsUserName="a\x07b"), ['~.windowsOptions.runAsUserName: Invalid value: "a\\ab": runAsUserName cannot contain control characters']),
    (NEW, windows(runAsUserName="a\\b\\c"), ['~.windowsOptions.runAsUserName: Invalid value: "a\\\\b\\\\c": runAsUserName cannot contain more than one backslash']),
    (NEW, windows(runAsUserName="-bad-\\ . "), ['~.windowsOptions.runAsUserName: Invalid value: "-bad-\\\\ . ": runAsUserName\'s User cannot contain only periods or spaces']),
    (NEW, windows(runAsUserName="\\"), ["~.windowsOptions.runAsUserName: Invalid value: \"\\\\\": runAsUserName's Domain doesn't match the NetBios nor the DNS format",
        '~.windowsOptions.runAsUserName: Invalid value: "\\\\": runAsUserName\'s User cannot be empty']),
    (NEW, windows(runAsUserName="a" * 105),
        ['~.windowsOptions.runAsUserName: Invalid value: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": runAsUserName\'s User length must not be longer than 104 characters']),
    (NEW, windows(runAsUserName="a/b"), ['~.windowsOptions.runAsUserName: Invalid value: "a/b": runAsUserName\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]']),
    (NEW, hosted(True, True, hostNetwork=True), ["spec: Forbidden: hostProcess containers are disallowed by cluster policy"]),
    (NEW, hosted(True, None), ['spec: Invalid value: "": If pod contains any hostProcess containers then all containers must be HostProcess containers',
        "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers", "spec: Forbidden: hostProcess containers are disallowed by cluster policy"]),
    (NEW, hosted(False, securityContext={"windowsOptions": {"hostProcess": True}}),
        ["~.windowsOptions.hostProcess: Invalid value: false: pod hostProcess value must be identical if both are specified, was true"]),
    (NEW, pod(hostUsers=False, hostNetwork=True, hostPID=True, hostIPC=True), ["spec.hostNetwork: Forbidden: when `hostUsers` is false", "spec.HostPID: Forbidden: when `hostUsers` is false",
        "spec.HostIPC: Forbidden: when `hostUsers` is false"]),
    (NEW, pod(os={"name": ""}), ["spec.os.name: Required value: cannot be empty"]),
    (NEW, pod(os={"name": "plan9"}), ['spec.os: Unsupported value: "plan9": supported values: "linux", "windows"']),
    (NEW, pod(os={"name": "linux"}, securityContext={"windowsOptions": {}}), ["spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"]),
    (NEW, pod(os={"name": "windows"}), []),
    (NEW, pod(os={"name": "windows"}, hostPID=True, securityContext={"runAsUser": 1, "seLinuxOptions": {}}), ["spec.securityContext.seLinuxOptions: Forbidden: cannot be set for a windows pod",
        "spec.hostPID: Forbidden: cannot be set for a windows pod", "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod"]),
    (NEW, pod(os={"name": "windows"}, containers=[{**CONTAINER, "securityContext": {"runAsUser": 1, "privileged": False}}]), ["~.privileged: Forbidden: cannot be set for a windows pod",
        "~.runAsUser: Forbidden: cannot be set for a windows pod"]),
])  # fmt: skip


def test_long_credentials() -> None:
    [cause] = causes(NEW, windows(gmsaCredentialSpec="s" * (64 * 1024 + 1)))
    assert cause.startswith('~.windowsOptions.gmsaCredentialSpec: Invalid value: "sss')
