"""Every cause that a volume source can have (pkg/apis/core/validation)."""

from rules import alone, table, valid, within

from pilothouse.api.validate.persistentvolume import validate_volume_spec
from pilothouse.api.validate.volume_sources import rules

VOLUME = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1"}}
named = within(".iscsi", lambda source, errs: validate_volume_spec({**VOLUME, "iscsi": source}, "v", "", errs), "")
"""The iSCSI source of a persistent volume called `v`."""
ONE = rules.untyped("""
    first-of                            : may not specify more than 1 volume type / must specify a volume type
      a                                 local
      b                                 nfs as:B second:second
      c                                 local second:
""")
one = alone(ONE)
"""A holder of one of three sources, the third of which upstream lets pass as a second one."""
SOURCES = (
    "host_path git_repo gce_disk nfs iscsi fc quobyte glusterfs persistent_glusterfs flocker cinder persistent_cinder flex persistent_azure_file azure_disk"
    " storage_os persistent_storage_os local csi persistent_csi"
)
R = {name: alone(rules[name.replace("_", "-")]) for name in SOURCES.split()}
ISCSI = {"targetPortal": "p", "iqn": "iqn.2001-04.com.example:storage", "lun": 0}
SECRET = {"name": "n", "namespace": "n"}
PATH = {"path": "/p"}

test_causes = table([
    (R["host_path"], {"path": "/a", "type": "Directory"}),
    (R["host_path"], {}, "~.path!"),
    (R["host_path"], {"path": "/a/../b", "type": "Odd"}, "~.path : must not contain '..'",
        '~.type: Unsupported value: "Odd": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"'),
    (R["git_repo"], {"directory": "/a"}, "~.repository!", "~.directory : must be a relative path"),
    (R["git_repo"], {"repository": "r", "directory": "a/../.."}, "~.directory : must not contain '..'"),
    (R["gce_disk"], {"pdName": "d", "partition": 255}),
    (R["gce_disk"], {"partition": 256}, "~.pdName!", "~.partition 1..255"),
    (R["nfs"], {"server": "s", "path": "/p"}),
    (R["nfs"], {"path": "p"}, "~.server!", "~.path : must be an absolute path"),
    (R["nfs"], {}, "~.server,path!", '~.path="" : must be an absolute path'),
    *valid(R["iscsi"], ISCSI, {**ISCSI, "iqn": "eui.0123456789abcdef", "initiatorName": "naa." + "0" * 32}),
    (R["iscsi"], {}, "~.targetPortal,iqn!"),
    (R["iscsi"], {**ISCSI, "iqn": "x", "lun": 256, "initiatorName": "x"}, "~.iqn : must be valid format starting with iqn, eui, or naa", "~.lun 0..255",
        '~.initiatorname="x" : must be valid format starting with iqn, eui, or naa'),
    (R["iscsi"], {**ISCSI, "iqn": "eui.short", "chapAuthSession": True, "initiatorName": "naa.1"}, "~.iqn : must be valid format", "~.secretRef!", '~.initiatorname="naa.1" : must be valid format'),
    (named, ISCSI),
    (named, {**ISCSI, "targetPortal": "", "secretRef": {}, "initiatorName": "x"}, "~.targetPortal!", "~.secretRef.name!", '~.initiatorname="x" : must be valid format'),
    (named, {**ISCSI, "targetPortal": "p" * 64, "initiatorName": ISCSI["iqn"]},
        '~.targetportal="pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp" : Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.'),
    *valid(R["fc"], {"targetWWNs": ["w"], "lun": 1}, {"wwids": ["w"]}),
    (R["fc"], {}, "~.targetWWNs! : must specify either targetWWNs or wwids, but not both"),
    (R["fc"], {"targetWWNs": ["w"], "wwids": ["w"]}, "~.targetWWNs : targetWWNs and wwids can not be specified simultaneously", "~.lun! : lun is required if targetWWNs is specified"),
    (R["fc"], {"targetWWNs": ["w"], "lun": 256}, "~.lun 0..255"),
    (R["quobyte"], {"registry": "a:1,[::1]:2", "volume": "v"}),
    (R["quobyte"], {}, "~.registry! : must be a host:port pair or multiple pairs separated by commas", "~.volume!"),
    (R["quobyte"], {"registry": "a:1", "tenant": "t" * 65, "volume": "v"}, "~.tenant! : must be a UUID and may not exceed a length of 64 characters"),
    (R["quobyte"], {"registry": "a,::1:2,[:1", "volume": "v"}, "~.registry : must be a host:port pair or multiple pairs separated by commas",
        "~.registry : must be a host:port pair or multiple pairs separated by commas", "~.registry : must be a host:port pair or multiple pairs separated by commas"),
    (R["glusterfs"], {}, "~.endpoints,path!"),
    (R["persistent_glusterfs"], {"endpoints": "e", "path": "p", "endpointsNamespace": "n"}),
    (R["persistent_glusterfs"], {"endpoints": "e", "path": "p", "endpointsNamespace": ""}, "~.endpointsNamespace : if the endpointnamespace is set, it must be a valid namespace name"),
    (R["persistent_glusterfs"], {"endpoints": "e", "path": "p", "endpointsNamespace": "N_"}, "~.endpointsNamespace : <RFC 1123 label>"),
    (R["flocker"], {"datasetName": "d"}),
    (R["flocker"], {}, "~! : one of datasetName and datasetUUID is required"),
    (R["flocker"], {"datasetName": "a/b", "datasetUUID": "u"}, '~="resource" : datasetName and datasetUUID can not be specified simultaneously', "~.datasetName : must not contain '/'"),
    (R["cinder"], {"volumeID": "v", "secretRef": {"name": "n"}}),
    (R["cinder"], {"secretRef": {}}, "~.volumeID!", "~.secretRef.name!"),
    (R["persistent_cinder"], {"volumeID": "v", "secretRef": {}}, "~.secretRef.name,namespace!"),
    (R["flex"], {"driver": "d", "options": {"a": "b", "k8s.io.example/a": "b"}}),
    (R["flex"], {"options": {"a.k8s.io/b": "c", "kubernetes.io": "d"}}, "~.driver!", '~.options[a.k8s.io/b]="a.k8s.io/b" : kubernetes.io and k8s.io namespaces are reserved',
        '~.options[kubernetes.io]="kubernetes.io" : kubernetes.io and k8s.io namespaces are reserved'),
    (R["persistent_azure_file"], {"secretName": "s", "shareName": "s", "secretNamespace": "n"}),
    (R["persistent_azure_file"], {"secretNamespace": ""}, "~.secretName,shareName,secretNamespace!"),
    (R["azure_disk"], {"diskName": "d", "diskURI": "/subscriptions/x", "kind": "Managed", "cachingMode": "None"}),
    (R["azure_disk"], {"cachingMode": "Odd", "kind": "Odd"}, "~.diskName,diskURI!", "~.cachingMode None|ReadOnly|ReadWrite", "~.kind Dedicated|Managed|Shared",
        '~.diskURI: Unsupported value: "": supported values: "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"'),
    (R["azure_disk"], {"diskName": "d", "diskURI": "https://x", "kind": "Managed"}, "~.diskURI |/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"),
    (R["azure_disk"], {"diskName": "d", "diskURI": "/subscriptions/x", "kind": "Shared"},
        '~.diskURI: Unsupported value: "/subscriptions/x": supported values: "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"'),
    (R["storage_os"], {"volumeName": "v", "volumeNamespace": "n", "secretRef": {"name": "s"}}),
    (R["storage_os"], {}, "~.volumeName!"),
    (R["persistent_storage_os"], {"volumeName": "V_", "volumeNamespace": "N_", "secretRef": {}}, "~.volumeName,volumeNamespace : <RFC 1123 label>", "~.secretRef.name,namespace!"),
    (R["local"], {}, "~.path!"),
    (R["local"], {"path": "a/.."}, "~.path : must not contain '..'"),
    (R["csi"], {"driver": "D.example.com", "nodePublishSecretRef": {"name": "s"}}),
    (R["csi"], {"nodePublishSecretRef": {}}, "~.driver!", "~.nodePublishSecretRef.name!"),
    (R["csi"], {"driver": "d_" * 32, "nodePublishSecretRef": {"name": "S_"}}, "~.driver max:63", "~.driver : <RFC 1123 subdomain>", '~.name="S_" : <RFC 1123 subdomain>'),
    (R["persistent_csi"], {"driver": "d", "volumeHandle": "h", "nodeExpandSecretRef": SECRET}),
    (R["persistent_csi"], {"driver": "d", "controllerPublishSecretRef": {}}, "~.volumeHandle!", "~.controllerPublishSecretRef.name,namespace!"),
    (R["persistent_csi"], {"driver": "d", "volumeHandle": "h", "nodePublishSecretRef": {"name": "S_", "namespace": "N_"}}, "~.nodePublishSecretRef.name : <RFC 1123 subdomain>",
        "~.nodePublishSecretRef.namespace : <RFC 1123 label>"),
    (one, {"a": PATH}),
    (one, {"b": {}}, "~.B.server,path!", '~.B.path="" : must be an absolute path'),
    (one, {"a": PATH, "b": {}, "c": {}}, "~.second- : may not specify more than 1 volume type", "~.c.path!"),
    (one, {"a": None}, "~! : must specify a volume type"),
])  # fmt: skip
