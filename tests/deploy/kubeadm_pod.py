"""The static pod that kubeadm v1.36 makes for kube-apiserver, as far as patches and flags go."""

from typing import Any

PKI = "/etc/kubernetes/pki"


def flags(cluster: dict[str, Any], pki: str = PKI, etcd: str = "https://127.0.0.1:2379") -> list[str]:
    """The flags that kubeadm passes for a ClusterConfiguration; its `extraArgs` win."""
    values = {
        "advertise-address": "127.0.0.1",
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "client-ca-file": f"{pki}/ca.crt",
        "enable-admission-plugins": "NodeRestriction",
        "enable-bootstrap-token-auth": "true",
        "etcd-servers": etcd,
        "kubelet-client-certificate": f"{pki}/apiserver-kubelet-client.crt",
        "kubelet-client-key": f"{pki}/apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
        "proxy-client-cert-file": f"{pki}/front-proxy-client.crt",
        "proxy-client-key-file": f"{pki}/front-proxy-client.key",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-client-ca-file": f"{pki}/front-proxy-ca.crt",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "secure-port": "6443",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": f"{pki}/sa.pub",
        "service-account-signing-key-file": f"{pki}/sa.key",
        "service-cluster-ip-range": cluster["networking"]["serviceSubnet"],
        "tls-cert-file": f"{pki}/apiserver.crt",
        "tls-private-key-file": f"{pki}/apiserver.key",
    }
    if etcd.startswith("https:"):
        values |= {
            "etcd-cafile": f"{pki}/etcd/ca.crt",
            "etcd-certfile": f"{pki}/apiserver-etcd-client.crt",
            "etcd-keyfile": f"{pki}/apiserver-etcd-client.key",
        }
    values |= {extra["name"]: extra["value"] for extra in cluster["apiServer"]["extraArgs"]}
    return [f"--{name}={value}" for name, value in values.items()]


def pod(cluster: dict[str, Any], etcd: str = "https://127.0.0.1:2379") -> dict[str, Any]:
    """The pod before it is patched."""

    def probe(path: str, **times: int) -> dict[str, Any]:
        asked = {"host": "127.0.0.1", "port": "probe-port", "scheme": "HTTPS", "path": path}
        return {"httpGet": asked, "timeoutSeconds": 15, **times}

    container = {
        "name": "kube-apiserver",
        "image": f"registry.k8s.io/kube-apiserver:{cluster['kubernetesVersion']}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["kube-apiserver", *flags(cluster, etcd=etcd)],
        "ports": [{"name": "probe-port", "containerPort": 6443, "protocol": "TCP"}],
        "livenessProbe": probe("/livez", initialDelaySeconds=10, failureThreshold=8, periodSeconds=10),
        "readinessProbe": probe("/readyz", failureThreshold=3, periodSeconds=1),
        "startupProbe": probe("/livez", initialDelaySeconds=10, failureThreshold=24, periodSeconds=10),
        "resources": {"requests": {"cpu": "250m"}},
        "volumeMounts": [{"name": "k8s-certs", "mountPath": PKI, "readOnly": True}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "kube-apiserver", "namespace": "kube-system"},
        "spec": {
            "containers": [container],
            "hostNetwork": True,
            "priorityClassName": "system-node-critical",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "k8s-certs", "hostPath": {"path": PKI, "type": "DirectoryOrCreate"}}],
        },
    }
