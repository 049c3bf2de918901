"""The everyday commands of kubectl and their exact output."""

import json
import re
from typing import Any

import pytest
from clients.drivers import MANIFESTS, Kubectl
from eventually import eventually

pytestmark = [pytest.mark.slow, pytest.mark.kubectl]

TWENTY = str(MANIFESTS / "twenty.yaml")
CHANGED_BY_DEFAULTS = {
    "secret/password",
    "limitrange/limits",
    "statefulset.apps/db",
    "poddisruptionbudget.policy/web",
}
"""The objects that kubectl calls configured although nothing changes:
stringData, lists without keys, replaced fields."""


def words(line: str) -> list[str]:
    return line.split()


def until(kubectl: Kubectl, line: str, wanted: str, seconds: float = 10) -> None:
    """Wait until a command prints what is wanted."""
    eventually(lambda: kubectl(line).strip() == wanted, f"`{line}` to print {wanted!r}", seconds)


@pytest.fixture
def web(kubectl: Kubectl, namespace: str) -> str:
    """A namespace with the deployment `web`."""
    kubectl(f"-n {namespace} create deployment web --image=example.org/web:1 --replicas=2")
    return namespace


@pytest.fixture(scope="session")
def twenty(kubectl: Kubectl) -> list[str]:
    """The answer to applying twenty kinds and more."""
    return kubectl(f"apply -f {TWENTY}").splitlines()


def test_get_namespaces(kubectl: Kubectl) -> None:
    lines = [words(line) for line in kubectl("get ns").splitlines()]
    assert lines[0] == ["NAME", "STATUS", "AGE"]
    assert {"default", "kube-node-lease", "kube-public", "kube-system"} <= {line[0] for line in lines}
    assert kubectl("get ns default -o name").strip() == "namespace/default"


def test_version_and_cluster_info(kubectl: Kubectl) -> None:
    assert re.search(r"Server Version: v1\.36\.\d", kubectl("version"))
    assert "Kubernetes control plane" in kubectl("cluster-info")
    assert kubectl("get --raw /readyz") == "ok"


def test_create_all_sorts(kubectl: Kubectl, namespace: str) -> None:
    def create(line: str) -> str:
        return kubectl(f"-n {namespace} create {line}").strip()

    assert create("configmap settings --from-literal=a=1") == "configmap/settings created"
    assert create("secret generic s --from-literal=k=v") == "secret/s created"
    assert create("serviceaccount runner") == "serviceaccount/runner created"
    assert create("deployment web --image=example.org/web:1") == "deployment.apps/web created"
    assert create("job once --image=example.org/job:1") == "job.batch/once created"
    assert create("cronjob n --image=example.org/job:1 --schedule=@daily") == "cronjob.batch/n created"
    assert create("service clusterip svc --tcp=80:8080") == "service/svc created"
    assert create("role r --verb=get --resource=pods") == "role.rbac.authorization.k8s.io/r created"
    assert create("quota q --hard=pods=5") == "resourcequota/q created"
    assert create("ingress i --rule=a.example.org/*=svc:80") == "ingress.networking.k8s.io/i created"
    assert (
        create("poddisruptionbudget p --selector=app=web --min-available=1")
        == "poddisruptionbudget.policy/p created"
    )
    again = kubectl.fails(f"-n {namespace} create configmap settings")
    assert again.strip() == 'error: failed to create configmap: configmaps "settings" already exists'


def test_create_token(kubectl: Kubectl, namespace: str) -> None:
    kubectl(f"-n {namespace} create serviceaccount runner")
    token = kubectl(f"-n {namespace} create token runner").strip()
    assert token.count(".") == 2
    who = kubectl.run("auth", "whoami", f"--token={token}", "--client-certificate=", "--client-key=")
    assert who.returncode == 0 or "system:serviceaccount" in who.stdout


def test_create_what_is_wrong(kubectl: Kubectl, namespace: str) -> None:
    bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Upper}\n"
    said = kubectl.fails(f"-n {namespace} create -f -", stdin=bad)
    assert said.startswith('The ConfigMap "Upper" is invalid: metadata.name: Invalid value: "Upper"')
    unknown = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndada: {}\n"
    said = kubectl.fails(f"-n {namespace} create -f -", stdin=unknown)
    assert 'strict decoding error: unknown field "dada"' in said


def test_apply_twenty_kinds(kubectl: Kubectl, twenty: list[str]) -> None:
    assert len(twenty) == 22
    assert all(line.endswith(" created") for line in twenty), twenty


def test_apply_again(kubectl: Kubectl, twenty: list[str]) -> None:
    def versions() -> str:
        return kubectl(f"get -f {TWENTY} -o", "jsonpath={range .items[*]}{.metadata.resourceVersion} {end}")

    quota = "get resourcequota -n twenty quota -o jsonpath={.status.used}"
    eventually(lambda: "pods" in kubectl(quota), "the first count of the quota")
    before = versions()
    said = dict(line.rsplit(" ", 1) for line in kubectl(f"apply -f {TWENTY}").splitlines())
    assert len(said) == 22
    assert {name for name, how in said.items() if how != "unchanged"} <= CHANGED_BY_DEFAULTS
    assert versions() == before


def test_diff(kubectl: Kubectl, twenty: list[str]) -> None:
    assert kubectl(f"diff -f {TWENTY}") == ""
    changed = MANIFESTS.joinpath("twenty.yaml").read_text().replace("replicas: 2", "replicas: 3")
    done = kubectl.run("diff", "-f", "-", stdin=changed)
    assert done.returncode == 1, done.stderr
    assert "-  replicas: 2" in done.stdout and "+  replicas: 3" in done.stdout
    assert "dry" not in done.stdout


def test_describe_every_kind(kubectl: Kubectl, twenty: list[str]) -> None:
    said = kubectl(f"describe -f {TWENTY}")
    assert said.count("Name:") >= 22
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in said
    assert re.search(r"Pods\s+0\s+50|pods\s+\d\s+50", said) or "pods" in said


def test_get_wide_of_every_kind(kubectl: Kubectl, twenty: list[str]) -> None:
    said = kubectl(f"get -f {TWENTY} -o wide")
    assert "deployment.apps/web" in said
    assert re.search(r"^NAME +READY +UP-TO-DATE +AVAILABLE +AGE +CONTAINERS +IMAGES +SELECTOR$", said, re.M)
    assert re.search(r"^deployment.apps/web +0/2 +0 +0 +\S+ +main +example.org/web:1 +app=web$", said, re.M)


def test_apply_prunes_and_keeps(kubectl: Kubectl, namespace: str) -> None:
    """A three-way merge: what the file drops goes, what others added stays."""
    first = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1', y: '2'}\n"
    kubectl(f"-n {namespace} apply -f -", stdin=first)
    kubectl(f"-n {namespace} patch configmap a --type merge -p", '{"data":{"z":"3"}}')
    assert (
        kubectl(f"-n {namespace} apply -f -", stdin=first.replace(", y: '2'", "")).strip()
        == "configmap/a configured"
    )
    assert json.loads(kubectl(f"-n {namespace} get cm a -o jsonpath={{.data}}")) == {"x": "1", "z": "3"}


def test_apply_server_side(kubectl: Kubectl, namespace: str) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
    apply = f"-n {namespace} apply --server-side -f -"
    assert kubectl(apply, stdin=manifest).strip() == "configmap/a serverside-applied"
    said = kubectl.fails(f"{apply} --field-manager=other", stdin=manifest.replace("'1'", "'2'"))
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.x' in said
    kubectl(f"{apply} --field-manager=other --force-conflicts", stdin=manifest.replace("'1'", "'2'"))
    assert kubectl(f"-n {namespace} get cm a -o jsonpath={{.data.x}}") == "2"
    managers = kubectl(
        f"-n {namespace} get cm a --show-managed-fields -o", "jsonpath={.metadata.managedFields[*].manager}"
    )
    assert "other" in managers


def test_apply_server_side_of_an_unmanaged_object(kubectl: Kubectl, namespace: str) -> None:
    """An object that was created without apply is taken over without a conflict when nothing differs."""
    kubectl(f"-n {namespace} create configmap a --from-literal=x=1")
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
    kubectl(f"-n {namespace} apply --server-side -f -", stdin=manifest)
    assert kubectl(f"-n {namespace} get cm a -o jsonpath={{.data.x}}") == "1"


def test_edit(kubectl: Kubectl, web: str) -> None:
    said = kubectl(f"-n {web} edit deployment web", EDITOR="sed -i s/example.org.web:1/example.org.web:2/")
    assert said.strip() == "deployment.apps/web edited"
    image = kubectl(f"-n {web} get deployment web -o jsonpath={{.spec.template.spec.containers[0].image}}")
    assert image == "example.org.web:2"
    unchanged = kubectl.run("-n", web, "edit", "deployment", "web", EDITOR="true")
    assert "no changes" in unchanged.stdout + unchanged.stderr


def test_edit_of_the_status(kubectl: Kubectl, web: str) -> None:
    editor = "sed -i 's/^status:.*/status: {observedGeneration: 1}/'"
    kubectl(f"-n {web} edit deployment web --subresource=status", EDITOR=editor)
    assert kubectl(f"-n {web} get deployment web -o jsonpath={{.status}}") == '{"observedGeneration":1}'


def test_patch_strategic(kubectl: Kubectl, web: str) -> None:
    patch = {
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "example.org/side:1"}]}}}
    }
    assert (
        kubectl(f"-n {web} patch deployment web -p", json.dumps(patch)).strip()
        == "deployment.apps/web patched"
    )
    names = kubectl(f"-n {web} get deployment web -o jsonpath={{.spec.template.spec.containers[*].name}}")
    assert names == "side web"


def test_patch_merge(kubectl: Kubectl, web: str) -> None:
    kubectl(f"-n {web} patch deployment web --type merge -p", '{"spec":{"replicas":5,"paused":true}}')
    assert kubectl(f"-n {web} get deployment web -o jsonpath={{.spec.replicas}}{{.spec.paused}}") == "5true"
    said = kubectl(f"-n {web} patch deployment web --type merge -p", '{"spec":{"replicas":5}}')
    assert said.strip() == "deployment.apps/web patched (no change)"


def test_patch_json(kubectl: Kubectl, web: str) -> None:
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "add", "path": "/metadata/labels/a~1b", "value": "c"},
    ]
    kubectl(f"-n {web} patch deployment web --type json -p", json.dumps(patch))
    assert json.loads(kubectl(f"-n {web} get deployment web -o jsonpath={{.metadata.labels}}")) == {
        "app": "web",
        "a/b": "c",
    }
    said = kubectl.fails(
        f"-n {web} patch deployment web --type json -p", json.dumps([patch[0] | {"value": 3}])
    )
    assert "the server rejected our request due to an error in our request" in said


def test_label_and_annotate(kubectl: Kubectl, web: str) -> None:
    assert kubectl(f"-n {web} label deployment web tier=front").strip() == "deployment.apps/web labeled"
    assert kubectl(f"-n {web} label deployment web tier=front").strip() == "deployment.apps/web not labeled"
    assert "already has a value" in kubectl.fails(f"-n {web} label deployment web tier=back")
    kubectl(f"-n {web} label deployment web tier=back --overwrite")
    assert "web" in kubectl(f"-n {web} get deployment -l tier=back,app!=x -L tier")
    assert kubectl(f"-n {web} label deployment web tier-").strip() == "deployment.apps/web unlabeled"
    assert kubectl(f"-n {web} annotate deployment web why=because").strip() == "deployment.apps/web annotated"
    assert kubectl(f"-n {web} get deployment web -o jsonpath={{.metadata.annotations.why}}") == "because"


def test_scale(kubectl: Kubectl, web: str) -> None:
    assert kubectl(f"-n {web} scale deployment web --replicas=7").strip() == "deployment.apps/web scaled"
    assert kubectl(f"-n {web} get deployment web -o jsonpath={{.spec.replicas}}") == "7"
    assert "Expected replicas to be 3, was 7" in kubectl.fails(
        f"-n {web} scale deployment web --current-replicas=3 --replicas=1"
    )
    assert (
        json.loads(kubectl(f"get --raw /apis/apps/v1/namespaces/{web}/deployments/web/scale"))["kind"]
        == "Scale"
    )


def test_set_image_and_rollout(kubectl: Kubectl, web: str) -> None:
    assert (
        kubectl(f"-n {web} set image deployment/web web=example.org/web:3").strip()
        == "deployment.apps/web image updated"
    )
    assert kubectl(f"-n {web} rollout restart deployment web").strip() == "deployment.apps/web restarted"
    assert kubectl(f"-n {web} rollout pause deployment web").strip() == "deployment.apps/web paused"
    assert kubectl(f"-n {web} rollout resume deployment web").strip() == "deployment.apps/web resumed"
    assert "Waiting for deployment" in kubectl(f"-n {web} rollout status deployment web --watch=false")


def test_rollout_status(kubectl: Kubectl, web: str) -> None:
    """kubectl follows the statuses that the test sets in the controller's place."""
    waiting = kubectl.start(f"-n {web} rollout status deployment web --timeout=20s")
    for ready in (1, 2):
        status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": ready}
        status["availableReplicas"] = ready
        kubectl(
            f"-n {web} patch deployment web --subresource=status --type merge -p",
            json.dumps({"status": status}),
        )
    said, _ = waiting.communicate(timeout=25)
    assert waiting.returncode == 0, said
    assert said.splitlines()[-1] == 'deployment "web" successfully rolled out'
    assert words(kubectl(f"-n {web} get deployment web --no-headers"))[1:4] == ["2/2", "2", "2"]


def test_output_formats(kubectl: Kubectl, web: str) -> None:
    get = f"-n {web} get deployment"
    assert json.loads(kubectl(f"{get} -o json"))["items"][0]["metadata"]["name"] == "web"
    assert "replicas: 2" in kubectl(f"{get} web -o yaml")
    assert kubectl(f"{get} -o", "jsonpath={.items[?(@.metadata.name=='web')].spec.replicas}") == "2"
    columns = kubectl(f"{get} -o custom-columns=N:.metadata.name,R:.spec.replicas").splitlines()
    assert [words(line) for line in columns] == [["N", "R"], ["web", "2"]]
    assert kubectl(f"{get} -o", "go-template={{range .items}}{{.kind}}{{end}}") == "Deployment"
    assert kubectl(f"{get} --sort-by=.metadata.name -o name").strip() == "deployment.apps/web"
    assert words(kubectl(f"{get} --show-labels --no-headers"))[-1] == "app=web"


def test_get_what_is_not_there(kubectl: Kubectl, namespace: str) -> None:
    said = kubectl.fails(f"-n {namespace} get configmap nothing")
    assert said.strip() == 'Error from server (NotFound): configmaps "nothing" not found'
    said = kubectl.fails("get gadgets")
    assert said.strip() == 'error: the server doesn\'t have a resource type "gadgets"'
    empty = kubectl.run("-n", namespace, "get", "pods")
    assert empty.stderr.strip() == f"No resources found in {namespace} namespace."


def test_field_selectors_and_chunks(kubectl: Kubectl, namespace: str) -> None:
    items = "\n---\n".join(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{n}}}" for n in range(12))
    kubectl(f"-n {namespace} create -f -", stdin=items)
    chosen = kubectl(f"-n {namespace} get cm --field-selector metadata.name=c3 -o name")
    assert chosen.strip() == "configmap/c3"
    assert len(kubectl(f"-n {namespace} get cm --chunk-size=5 -o name").splitlines()) == 13
    assert '"a" is not a known field selector' in kubectl.fails(f"-n {namespace} get cm --field-selector a=b")


def test_get_watch(kubectl: Kubectl, namespace: str) -> None:
    kubectl(f"-n {namespace} create configmap first")
    watching = kubectl.start(f"-n {namespace} get configmap -w --output-watch-events --no-headers")
    assert watching.stdout is not None
    seen = [words(watching.stdout.readline())[:2] for _ in range(2)]  # kube-root-ca.crt is there too
    assert ["ADDED", "first"] in seen
    kubectl(f"-n {namespace} create configmap second")
    kubectl(f"-n {namespace} label configmap second a=b")
    kubectl(f"-n {namespace} delete configmap second")
    changes = [words(watching.stdout.readline())[:2] for _ in range(3)]
    watching.terminate()
    watching.communicate(timeout=5)
    assert changes == [["ADDED", "second"], ["MODIFIED", "second"], ["DELETED", "second"]]


def test_wait(kubectl: Kubectl, web: str) -> None:
    waiting = kubectl.start(f"-n {web} wait --for=condition=Available deployment/web --timeout=20s")
    condition = {"type": "Available", "status": "True", "reason": "Set", "message": "by hand"}
    kubectl(
        f"-n {web} patch deployment web --subresource=status --type merge -p",
        json.dumps({"status": {"conditions": [condition]}}),
    )
    said, _ = waiting.communicate(timeout=25)
    assert (waiting.returncode, said.strip()) == (0, "deployment.apps/web condition met")
    assert "condition met" in kubectl(
        f"-n {web} wait --for=jsonpath={{.spec.replicas}}=2 deployment/web --timeout=5s"
    )
    waiting = kubectl.start(f"-n {web} wait --for=delete deployment/web --timeout=20s")
    kubectl(f"-n {web} delete deployment web")
    assert waiting.wait(25) == 0
    waiting.communicate()
    assert "timed out" in kubectl.fails(f"-n {web} wait --for=create configmap/never --timeout=1s")


def test_explain(kubectl: Kubectl) -> None:
    said = kubectl("explain deployment.spec.strategy")
    assert "GROUP:      apps" in said and "FIELD: strategy <DeploymentStrategy>" in said
    tree = kubectl("explain deployments --recursive")
    assert re.search(r"^ +maxUnavailable\t<IntOrString>$", tree, re.M)
    assert len(tree.splitlines()) > 500
    assert 'field "nothing" does not exist' in kubectl.fails("explain pods.nothing")


@pytest.mark.parametrize("output", ["plaintext", "plaintext-openapiv2"])
def test_explain_describes_types_and_fields(kubectl: Kubectl, output: str) -> None:
    said = " ".join(kubectl(f"explain pods --output={output}").split())
    assert "Pod is a collection of containers that can run on a host." in said
    said = " ".join(kubectl(f"explain pods.spec.containers.ports.hostIP --output={output}").split())
    assert "What host IP to bind the external port to." in said


def test_explain_describes_the_metadata_of_custom_resources(kubectl: Kubectl) -> None:
    own = {"spec": {"type": "object"}}
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": own}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"of": embedded}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "tales.explain.example.com"},
        "spec": {
            "group": "explain.example.com",
            "scope": "Namespaced",
            "names": {"plural": "tales", "kind": "Tale"},
            "versions": [version],
        },
    }
    kubectl("create -f -", stdin=json.dumps(definition))
    kubectl("wait --for=condition=Established crd/tales.explain.example.com --timeout=10s")
    said = " ".join(kubectl("explain tales.metadata").split())
    assert "Standard object's metadata." in said and "CreationTimestamp is a timestamp" in said
    assert "kind is a string value representing the type" in " ".join(
        kubectl("explain tales.spec.of").split()
    )
    kubectl("delete crd tales.explain.example.com")


def test_api_resources(kubectl: Kubectl) -> None:
    lines = [words(line) for line in kubectl("api-resources --no-headers").splitlines()]
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in lines
    assert ["bindings", "v1", "true", "Binding"] in lines
    names = kubectl("api-resources -o name --namespaced=false --verbs=list,watch").split()
    assert {"nodes", "namespaces", "clusterroles.rbac.authorization.k8s.io"} <= set(names)
    assert "apps/v1" in kubectl("api-versions").split()


def test_auth(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl("auth can-i create pods").strip() == "yes"
    denied = kubectl.run("auth", "can-i", "get", "secrets", "--as=jane")
    assert (denied.returncode, denied.stdout.strip()) == (1, "no")
    kubectl(f"-n {namespace} create role r --verb=get,list --resource=configmaps")
    kubectl(f"-n {namespace} create rolebinding r --role=r --user=jane")
    assert kubectl(f"-n {namespace} auth can-i list configmaps --as=jane").strip() == "yes"
    assert words(kubectl("auth whoami").splitlines()[1])[0] == "Username"
    rules = kubectl(f"-n {namespace} auth can-i --list --as=jane --no-headers")
    assert any(words(line) == ["configmaps", "[]", "[]", "[get", "list]"] for line in rules.splitlines())
    said = kubectl.fails(f"-n {namespace} get secrets --as=jane")
    assert said.strip() == (
        'Error from server (Forbidden): secrets is forbidden: User "jane" cannot list resource "secrets" '
        f'in API group "" in the namespace "{namespace}"'
    )


def test_replace(kubectl: Kubectl, namespace: str) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1'}\n"
    kubectl(f"-n {namespace} create -f -", stdin=manifest)
    uid = kubectl(f"-n {namespace} get cm a -o jsonpath={{.metadata.uid}}")
    assert (
        kubectl(f"-n {namespace} replace -f -", stdin=manifest.replace("'1'", "'2'")).strip()
        == "configmap/a replaced"
    )
    assert kubectl(f"-n {namespace} get cm a -o jsonpath={{.metadata.uid}}") == uid


def test_replace_force(kubectl: Kubectl, namespace: str) -> None:
    spec = "{containers: [{name: c, image: 'example.org/a:1'}]}"
    manifest = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {spec}\n"
    kubectl(f"-n {namespace} create -f -", stdin=manifest)
    uid = kubectl(f"-n {namespace} get pod a -o jsonpath={{.metadata.uid}}")
    said = kubectl(f"-n {namespace} replace --force -f -", stdin=manifest)
    assert 'pod "a" deleted' in said and "pod/a replaced" in said
    assert kubectl(f"-n {namespace} get pod a -o jsonpath={{.metadata.uid}}") != uid


def test_run_and_expose(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl(f"-n {namespace} run one --image=example.org/one:1 --port=80 --expose").splitlines() == [
        "pod/one created",
        "service/one created",
    ]
    assert re.fullmatch(
        r"10\.0\.\d+\.\d+", kubectl(f"-n {namespace} get svc one -o jsonpath={{.spec.clusterIP}}")
    )
    said = kubectl(f"-n {namespace} expose pod one --name=two --port=81 --type=NodePort")
    assert said.strip() == "service/two exposed"
    assert (
        30000 <= int(kubectl(f"-n {namespace} get svc two -o jsonpath={{.spec.ports[0].nodePort}}")) <= 32767
    )


def test_taint_cordon_and_drain(kubectl: Kubectl, namespace: str) -> None:
    node = f"node-{namespace}"
    kubectl("create -f -", stdin=f"apiVersion: v1\nkind: Node\nmetadata: {{name: {node}}}\n")
    assert kubectl(f"taint node {node} a=b:NoSchedule").strip() == f"node/{node} tainted"
    assert kubectl(f"cordon {node}").strip() == f"node/{node} cordoned"
    assert "SchedulingDisabled" in kubectl(f"get node {node}")
    assert kubectl(f"uncordon {node}").strip() == f"node/{node} uncordoned"
    kubectl(f"delete node {node}")


def test_events(kubectl: Kubectl, namespace: str) -> None:
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": namespace},
        "involvedObject": {"kind": "ConfigMap", "name": "a", "namespace": namespace},
        "reason": "Done",
        "message": "it is done",
        "type": "Normal",
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    kubectl("create -f -", stdin=json.dumps(event))
    assert "it is done" in kubectl(f"-n {namespace} get events")
    assert "it is done" in kubectl(f"-n {namespace} events")


def test_delete_by_label(kubectl: Kubectl, namespace: str) -> None:
    for name, color in (("a", "red"), ("b", "red"), ("c", "blue")):
        kubectl(f"-n {namespace} create configmap {name}")
        kubectl(f"-n {namespace} label configmap {name} color={color}")
    said = kubectl(f"-n {namespace} delete configmap -l color=red")
    assert [line.split(" from ")[0] for line in said.splitlines()] == [
        'configmap "a" deleted',
        'configmap "b" deleted',
    ]
    assert kubectl(f"-n {namespace} get cm -l color -o name").strip() == "configmap/c"


def test_delete_collects_dependents(kubectl: Kubectl, namespace: str) -> None:
    kubectl(f"-n {namespace} create configmap owner")
    uid = kubectl(f"-n {namespace} get cm owner -o jsonpath={{.metadata.uid}}")
    for name in ("child", "orphan"):
        kubectl(f"-n {namespace} create configmap {name}")
    owner = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]
    kubectl(
        f"-n {namespace} patch cm child --type merge -p", json.dumps({"metadata": {"ownerReferences": owner}})
    )
    kubectl(f"-n {namespace} delete cm owner --cascade=foreground")
    until(
        kubectl,
        f"-n {namespace} get cm -o name --field-selector metadata.name!=kube-root-ca.crt",
        "configmap/orphan",
    )


def test_delete_namespace(kubectl: Kubectl, namespace: str) -> None:
    """The namespace goes with everything in it, and for good."""
    kubectl(f"-n {namespace} create deployment web --image=example.org/web:1")
    kubectl(f"-n {namespace} create configmap a")
    kubectl(f"-n {namespace} run one --image=example.org/one:1")
    assert kubectl(f"delete namespace {namespace} --timeout=20s").startswith(
        f'namespace "{namespace}" deleted'
    )
    assert "NotFound" in kubectl.fails(f"get ns {namespace}")
    kubectl(f"create namespace {namespace}")
    until(kubectl, f"-n {namespace} get cm -o name", "configmap/kube-root-ca.crt")
    assert kubectl(f"-n {namespace} get all -o name") == ""
