"""Every cause that security contexts can have (pkg/apis/core/validation)."""

from pods import CONTAINER, POD, pod
from rules import at, below, table, valid, within

from pilothouse.api.validate.pod.spec import validate_pod
from pilothouse.api.values.fields import Object

NEW = within("spec.containers[0].securityContext", validate_pod)
of = at(POD, "spec.securityContext", {})
own = at(POD, "spec.containers.0.securityContext", {})
windows = at(own(), "spec.containers.0.securityContext.windowsOptions", {})
OF_LINUX = {"seLinuxOptions": {}, "fsGroup": 1, "fsGroupChangePolicy": "Always", "sysctls": [{"name": "a"}], "runAsUser": 1, "runAsGroup": 1, "supplementalGroups": [1],
    "appArmorProfile": {"type": "Unconfined"}, "seccompProfile": {"type": "Unconfined"}, "supplementalGroupsPolicy": "Merge", "seLinuxChangePolicy": "Recursive"}  # fmt: skip


def hosted(*own: bool | None, **spec: object) -> Object:
    """A pod of host processes, by what the containers say of themselves."""
    listed = [{**CONTAINER, "name": f"c{i}", "securityContext": {"windowsOptions": {"hostProcess": value}}} for i, value in enumerate(own)]
    return pod(containers=listed, **spec)


test_causes = table([
    (NEW, windows(gmsaCredentialSpec="s" * (64 * 1024 + 1)), '~.windowsOptions.gmsaCredentialSpec: Invalid value: "sss…'),
    *valid(NEW, of(fsGroup=1, runAsUser=1, runAsGroup=1, supplementalGroups=[1]), of(sysctls=[{"name": "kernel.shm_rmid_forced"}, {"name": "net/ipv4/conf/eth0.1/x"}])),
    *valid(NEW, of(seccompProfile={"type": "Localhost", "localhostProfile": "a"}), of(appArmorProfile={"type": "Localhost", "localhostProfile": "a"}), own(runAsUser=1, procMount="Default")),
    *valid(NEW, windows(gmsaCredentialSpecName="g", gmsaCredentialSpec="s", runAsUserName="DOMAIN\\user"), pod(os={"name": "windows"})),
    (NEW, of(fsGroup=-1, runAsUser=2**31, runAsGroup=-1, supplementalGroups=[-1]), "spec.securityContext.fsGroup,runAsUser,runAsGroup,supplementalGroups[0] : <ID>"),
    (NEW, pod(shareProcessNamespace=True, hostPID=True), "spec.securityContext.shareProcessNamespace=true : ShareProcessNamespace and HostPID cannot both be enabled"),
    (NEW, of(fsGroupChangePolicy="Odd", supplementalGroupsPolicy="Odd", seLinuxChangePolicy="Odd"), *below("spec.securityContext", ".fsGroupChangePolicy Always|OnRootMismatch",
        ".supplementalGroupsPolicy Merge|Strict", ".seLinuxChangePolicy MountOption|Recursive")),
    (NEW, of(sysctls=[{}, {"name": "A b"}, {"name": "a" * 254}, {"name": "a.b"}, {"name": "a.b"}]), *below("spec.securityContext.sysctls", "[0].name!",
        "[1].name : must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        "[2].name : must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$", "[4].name unique")),
    (NEW, pod(securityContext={"sysctls": [{"name": "net.core.x"}, {"name": "net/core/x"}]}, hostNetwork=True),
        *below("spec.securityContext.sysctls", "[0].name : may not be specified when 'hostNetwork' is true", "[1].name : may not be specified when 'hostNetwork' is true")),
    (NEW, pod(securityContext={"sysctls": [{"name": "kernel.sem"}]}, hostIPC=True), "spec.securityContext.sysctls[0].name : may not be specified when 'hostIPC' is true"),
    (NEW, of(seccompProfile={}), "spec.securityContext.seccompProfile.type! : type is required when seccompProfile is set"),
    (NEW, of(seccompProfile={"type": "Odd"}), "spec.securityContext.seccompProfile.type Localhost|RuntimeDefault|Unconfined"),
    (NEW, of(seccompProfile={"type": "Localhost"}), "spec.securityContext.seccompProfile.localhostProfile! : must be set when seccomp type is Localhost"),
    (NEW, of(seccompProfile={"type": "Localhost", "localhostProfile": "/a"}), "spec.securityContext.seccompProfile.localhostProfile : must be a relative path"),
    (NEW, of(seccompProfile={"type": "Unconfined", "localhostProfile": "a"}),
        'spec.securityContext.seccompProfile.localhostProfile={"Type":"Unconfined","LocalhostProfile":"a"} : can only be set when seccomp type is Localhost'),
    (NEW, of(appArmorProfile={}), "spec.securityContext.appArmorProfile.type! : type is required when appArmorProfile is set"),
    (NEW, of(appArmorProfile={"type": "Odd"}), "spec.securityContext.appArmorProfile.type Localhost|RuntimeDefault|Unconfined"),
    (NEW, of(appArmorProfile={"type": "Localhost"}), "spec.securityContext.appArmorProfile.localhostProfile! : must be set when AppArmor type is Localhost"),
    (NEW, of(appArmorProfile={"type": "Localhost", "localhostProfile": " a"}), "spec.securityContext.appArmorProfile.localhostProfile : must not be padded with whitespace"),
    (NEW, of(appArmorProfile={"type": "Localhost", "localhostProfile": "a" * 4096}), "spec.securityContext.appArmorProfile.localhostProfile max:4095"),
    (NEW, of(appArmorProfile={"type": "Unconfined", "localhostProfile": "a"}), "spec.securityContext.appArmorProfile.localhostProfile : can only be set when AppArmor type is Localhost"),
    (NEW, own(runAsUser=-1, runAsGroup=-1, procMount="Odd"), "~.runAsUser,runAsGroup : <ID>", "~.procMount Default|Unmasked"),
    (NEW, own(procMount="Unmasked"), "~.procMount : `hostUsers` must be false to use `Unmasked`"),
    (NEW, own(privileged=True, allowPrivilegeEscalation=False), "~.privileged- : disallowed by cluster policy",
        '~={"Capabilities":null,"Privileged":true,"SELinuxOptions":null,"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":false,"ProcMount":null,"SeccompProfile":null,"AppArmorProfile":null} : cannot set `allowPrivilegeEscalation` to false and `privileged` to true'),
    (NEW, own(allowPrivilegeEscalation=False, capabilities={"add": ["CAP_SYS_ADMIN", "CAP_SYS_ADMIN"]}, seLinuxOptions={"user": "u"}),
        *below('~={"Capabilities":{"Add":["CAP_SYS_ADMIN","CAP_SYS_ADMIN"],"Drop":null},"Privileged":null,"SELinuxOptions":{"User":"u","Role":"","Type":"","Level":""},"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":false,"ProcMount":null,"SeccompProfile":null,"AppArmorProfile":null} : cannot set `allowPrivilegeEscalation` to false and `capabilities', ".Add` CAP_SYS_ADMIN",
        ".Add` CAP_SYS_ADMIN")),
    (NEW, windows(gmsaCredentialSpecName="G_", gmsaCredentialSpec="", runAsUserName=""), *below("~.windowsOptions", ".gmsaCredentialSpecName : <RFC 1123 subdomain>",
        ".gmsaCredentialSpec : gmsaCredentialSpec cannot be an empty string", ".runAsUserName : runAsUserName cannot be an empty string")),
    (NEW, of(windowsOptions={"gmsaCredentialSpecName": "G_"}), "spec.securityContext.windowsOptions.gmsaCredentialSpecName : <RFC 1123 subdomain>"),
    (NEW, windows(runAsUserName="a\x07b"), '~.windowsOptions.runAsUserName="a\\ab" : runAsUserName cannot contain control characters'),
    (NEW, windows(runAsUserName="a\\b\\c"), "~.windowsOptions.runAsUserName : runAsUserName cannot contain more than one backslash"),
    (NEW, windows(runAsUserName="-bad-\\ . "), "~.windowsOptions.runAsUserName : runAsUserName's User cannot contain only periods or spaces"),
    (NEW, windows(runAsUserName="\\"), "~.windowsOptions.runAsUserName : runAsUserName's Domain doesn't match the NetBios nor the DNS format",
        "~.windowsOptions.runAsUserName : runAsUserName's User cannot be empty"),
    (NEW, windows(runAsUserName="a" * 105), "~.windowsOptions.runAsUserName : runAsUserName's User length must not be longer than 104 characters"),
    (NEW, windows(runAsUserName="a/b"), "~.windowsOptions.runAsUserName : runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"),
    (NEW, hosted(True, True, hostNetwork=True), "spec- : hostProcess containers are disallowed by cluster policy"),
    (NEW, hosted(True, None), 'spec="" : If pod contains any hostProcess containers then all containers must be HostProcess containers',
        "spec.hostNetwork=false : hostNetwork must be true if pod contains any hostProcess containers", "spec- : hostProcess containers are disallowed by cluster policy"),
    (NEW, hosted(False, securityContext={"windowsOptions": {"hostProcess": True}}), "~.windowsOptions.hostProcess : pod hostProcess value must be identical if both are specified, was true"),
    (NEW, pod(hostUsers=False, hostNetwork=True, hostPID=True, hostIPC=True), "spec.hostNetwork,HostPID,HostIPC- : when `hostUsers` is false"),
    (NEW, pod(os={"name": ""}), "spec.os.name! : cannot be empty"),
    (NEW, pod(os={"name": "plan9"}), 'spec.os="plan9" linux|windows'),
    (NEW, pod(os={"name": "linux"}, securityContext={"windowsOptions": {}}), "spec.securityContext.windowsOptions- : windows options cannot be set for a linux pod"),
    (NEW, pod(os={"name": "windows"}, hostUsers=True, hostPID=True, hostIPC=True, securityContext=OF_LINUX), *(f"spec.{fields}- : cannot be set for a windows pod" for fields in (
        "securityContext.appArmorProfile,seLinuxOptions", "hostUsers,hostPID,hostIPC", "securityContext.seccompProfile,fsGroup,fsGroupChangePolicy,sysctls",
        "securityContext.runAsUser,runAsGroup,supplementalGroups,supplementalGroupsPolicy,seLinuxChangePolicy"))),
    (NEW, pod(os={"name": "windows"}, containers=[{**CONTAINER, "securityContext": {"runAsUser": 1, "privileged": False}}]), "~.privileged,runAsUser- : cannot be set for a windows pod"),
])  # fmt: skip
