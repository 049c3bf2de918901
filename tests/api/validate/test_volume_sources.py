"""Every cause that a volume source can have (pkg/apis/core/validation)."""

from collections.abc import Callable

from rules import table

from pilothouse.api.validate.declare import Rule
from pilothouse.api.validate.persistentvolume import validate_volume_spec
from pilothouse.api.validate.volume_sources import rules
from pilothouse.api.values.fields import Errors, Object


def at_path(rule: Rule) -> Callable[[Object, Errors], None]:
    """A rule whose source stands at the path `s`."""
    return lambda source, errs: rule(source, "s", errs)


def named(source: Object, errs: Errors) -> None:
    """The iSCSI source of a persistent volume called `v`."""
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1"}, "iscsi": source}
    found = Errors()
    validate_volume_spec(spec, "v", "", found)
    for cause in found.causes:
        errs.add(cause["reason"], cause["field"].replace(".iscsi", "s"), cause["message"])


ONE = rules.untyped("""
    first-of                            : may not specify more than 1 volume type / must specify a volume type
      a                                 local
      b                                 nfs as:B second:second
      c                                 local second:
""")


one = at_path(ONE)
"""A holder of one of three sources, the third of which upstream lets pass as a second one."""
SOURCES = (
    "host_path git_repo gce_disk nfs iscsi fc quobyte glusterfs persistent_glusterfs flocker cinder persistent_cinder flex persistent_azure_file azure_disk"
    " storage_os persistent_storage_os local csi persistent_csi"
)
R = {name: at_path(rules[name.replace("_", "-")]) for name in SOURCES.split()}
ISCSI = {"targetPortal": "p", "iqn": "iqn.2001-04.com.example:storage", "lun": 0}
SECRET = {"name": "n", "namespace": "n"}
PATH = {"path": "/p"}

test_causes = table([
    (R["host_path"], {"path": "/a", "type": "Directory"}, []),
    (R["host_path"], {}, ["s.path: Required value"]),
    (R["host_path"], {"path": "/a/../b", "type": "Odd"}, ["s.path: Invalid value: \"/a/../b\": must not contain '..'",
        's.type: Unsupported value: "Odd": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"']),
    (R["git_repo"], {"directory": "/a"}, ["s.repository: Required value", 's.directory: Invalid value: "/a": must be a relative path']),
    (R["git_repo"], {"repository": "r", "directory": "a/../.."}, ["s.directory: Invalid value: \"a/../..\": must not contain '..'"]),
    (R["gce_disk"], {"pdName": "d", "partition": 255}, []),
    (R["gce_disk"], {"partition": 256}, ["s.pdName: Required value", "s.partition: Invalid value: 256: must be between 1 and 255, inclusive"]),
    (R["nfs"], {"server": "s", "path": "/p"}, []),
    (R["nfs"], {"path": "p"}, ["s.server: Required value", 's.path: Invalid value: "p": must be an absolute path']),
    (R["nfs"], {}, ["s.server: Required value", "s.path: Required value", 's.path: Invalid value: "": must be an absolute path']),
    (R["iscsi"], ISCSI, []),
    (R["iscsi"], {}, ["s.targetPortal: Required value", "s.iqn: Required value"]),
    (R["iscsi"], {**ISCSI, "iqn": "x", "lun": 256, "initiatorName": "x"}, ['s.iqn: Invalid value: "x": must be valid format starting with iqn, eui, or naa',
        "s.lun: Invalid value: 256: must be between 0 and 255, inclusive", 's.initiatorname: Invalid value: "x": must be valid format starting with iqn, eui, or naa']),
    (R["iscsi"], {**ISCSI, "iqn": "eui.short", "chapAuthSession": True, "initiatorName": "naa.1"}, ['s.iqn: Invalid value: "eui.short": must be valid format', "s.secretRef: Required value",
        's.initiatorname: Invalid value: "naa.1": must be valid format']),
    (R["iscsi"], {**ISCSI, "iqn": "eui.0123456789abcdef", "initiatorName": "naa." + "0" * 32}, []),
    (named, ISCSI, []),
    (named, {**ISCSI, "targetPortal": "", "secretRef": {}, "initiatorName": "x"}, ["s.targetPortal: Required value", "s.secretRef.name: Required value",
        's.initiatorname: Invalid value: "x": must be valid format']),
    (named, {**ISCSI, "targetPortal": "p" * 64, "initiatorName": ISCSI["iqn"]},
        ['s.targetportal: Invalid value: "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp": Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.']),
    (R["fc"], {"targetWWNs": ["w"], "lun": 1}, []),
    (R["fc"], {"wwids": ["w"]}, []),
    (R["fc"], {}, ["s.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both"]),
    (R["fc"], {"targetWWNs": ["w"], "wwids": ["w"]}, ['s.targetWWNs: Invalid value: ["w"]: targetWWNs and wwids can not be specified simultaneously',
        "s.lun: Required value: lun is required if targetWWNs is specified"]),
    (R["fc"], {"targetWWNs": ["w"], "lun": 256}, ["s.lun: Invalid value: 256: must be between 0 and 255, inclusive"]),
    (R["quobyte"], {"registry": "a:1,[::1]:2", "volume": "v"}, []),
    (R["quobyte"], {}, ["s.registry: Required value: must be a host:port pair or multiple pairs separated by commas", "s.volume: Required value"]),
    (R["quobyte"], {"registry": "a:1", "tenant": "t" * 65, "volume": "v"}, ["s.tenant: Required value: must be a UUID and may not exceed a length of 64 characters"]),
    (R["quobyte"], {"registry": "a,::1:2,[:1", "volume": "v"}, ['s.registry: Invalid value: "a,::1:2,[:1": must be a host:port pair or multiple pairs separated by commas',
        's.registry: Invalid value: "a,::1:2,[:1": must be a host:port pair or multiple pairs separated by commas',
        's.registry: Invalid value: "a,::1:2,[:1": must be a host:port pair or multiple pairs separated by commas']),
    (R["glusterfs"], {}, ["s.endpoints: Required value", "s.path: Required value"]),
    (R["persistent_glusterfs"], {"endpoints": "e", "path": "p", "endpointsNamespace": "n"}, []),
    (R["persistent_glusterfs"], {"endpoints": "e", "path": "p", "endpointsNamespace": ""},
        ['s.endpointsNamespace: Invalid value: "": if the endpointnamespace is set, it must be a valid namespace name']),
    (R["persistent_glusterfs"], {"endpoints": "e", "path": "p", "endpointsNamespace": "N_"}, ['s.endpointsNamespace: Invalid value: "N_": <RFC 1123 label>']),
    (R["flocker"], {"datasetName": "d"}, []),
    (R["flocker"], {}, ["s: Required value: one of datasetName and datasetUUID is required"]),
    (R["flocker"], {"datasetName": "a/b", "datasetUUID": "u"}, ['s: Invalid value: "resource": datasetName and datasetUUID can not be specified simultaneously',
        "s.datasetName: Invalid value: \"a/b\": must not contain '/'"]),
    (R["cinder"], {"volumeID": "v", "secretRef": {"name": "n"}}, []),
    (R["cinder"], {"secretRef": {}}, ["s.volumeID: Required value", "s.secretRef.name: Required value"]),
    (R["persistent_cinder"], {"volumeID": "v", "secretRef": {}}, ["s.secretRef.name: Required value", "s.secretRef.namespace: Required value"]),
    (R["flex"], {"driver": "d", "options": {"a": "b", "k8s.io.example/a": "b"}}, []),
    (R["flex"], {"options": {"a.k8s.io/b": "c", "kubernetes.io": "d"}}, ["s.driver: Required value",
        's.options[a.k8s.io/b]: Invalid value: "a.k8s.io/b": kubernetes.io and k8s.io namespaces are reserved',
        's.options[kubernetes.io]: Invalid value: "kubernetes.io": kubernetes.io and k8s.io namespaces are reserved']),
    (R["persistent_azure_file"], {"secretName": "s", "shareName": "s", "secretNamespace": "n"}, []),
    (R["persistent_azure_file"], {"secretNamespace": ""}, ["s.secretName: Required value", "s.shareName: Required value", "s.secretNamespace: Required value"]),
    (R["azure_disk"], {"diskName": "d", "diskURI": "/subscriptions/x", "kind": "Managed", "cachingMode": "None"}, []),
    (R["azure_disk"], {"cachingMode": "Odd", "kind": "Odd"}, ["s.diskName: Required value", "s.diskURI: Required value",
        's.cachingMode: Unsupported value: "Odd": supported values: "None", "ReadOnly", "ReadWrite"', 's.kind: Unsupported value: "Odd": supported values: "Dedicated", "Managed", "Shared"',
        's.diskURI: Unsupported value: "": supported values: "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"']),
    (R["azure_disk"], {"diskName": "d", "diskURI": "https://x", "kind": "Managed"},
        ['s.diskURI: Unsupported value: "https://x": supported values: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"']),
    (R["azure_disk"], {"diskName": "d", "diskURI": "/subscriptions/x", "kind": "Shared"},
        ['s.diskURI: Unsupported value: "/subscriptions/x": supported values: "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"']),
    (R["storage_os"], {"volumeName": "v", "volumeNamespace": "n", "secretRef": {"name": "s"}}, []),
    (R["storage_os"], {}, ["s.volumeName: Required value"]),
    (R["persistent_storage_os"], {"volumeName": "V_", "volumeNamespace": "N_", "secretRef": {}}, ['s.volumeName: Invalid value: "V_": <RFC 1123 label>',
        's.volumeNamespace: Invalid value: "N_": <RFC 1123 label>', "s.secretRef.name: Required value", "s.secretRef.namespace: Required value"]),
    (R["local"], {}, ["s.path: Required value"]),
    (R["local"], {"path": "a/.."}, ["s.path: Invalid value: \"a/..\": must not contain '..'"]),
    (R["csi"], {"driver": "D.example.com", "nodePublishSecretRef": {"name": "s"}}, []),
    (R["csi"], {"nodePublishSecretRef": {}}, ["s.driver: Required value", "s.nodePublishSecretRef.name: Required value"]),
    (R["csi"], {"driver": "d_" * 32, "nodePublishSecretRef": {"name": "S_"}}, ["s.driver: Too long: may not be more than 63 bytes",
        's.driver: Invalid value: "d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_d_": <RFC 1123 subdomain>', 's.name: Invalid value: "S_": <RFC 1123 subdomain>']),
    (R["persistent_csi"], {"driver": "d", "volumeHandle": "h", "nodeExpandSecretRef": SECRET}, []),
    (R["persistent_csi"], {"driver": "d", "controllerPublishSecretRef": {}}, ["s.volumeHandle: Required value", "s.controllerPublishSecretRef.name: Required value",
        "s.controllerPublishSecretRef.namespace: Required value"]),
    (R["persistent_csi"], {"driver": "d", "volumeHandle": "h", "nodePublishSecretRef": {"name": "S_", "namespace": "N_"}}, ['s.nodePublishSecretRef.name: Invalid value: "S_": <RFC 1123 subdomain>',
        's.nodePublishSecretRef.namespace: Invalid value: "N_": <RFC 1123 label>']),
    (one, {"a": PATH}, []),
    (one, {"b": {}}, ["s.B.server: Required value", "s.B.path: Required value", 's.B.path: Invalid value: "": must be an absolute path']),
    (one, {"a": PATH, "b": {}, "c": {}}, ["s.second: Forbidden: may not specify more than 1 volume type", "s.c.path: Required value"]),
    (one, {"a": None}, ["s: Required value: must specify a volume type"]),
])  # fmt: skip
