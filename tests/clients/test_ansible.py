"""A playbook with Ansible's collection kubernetes.core, which uses the dynamic client of `kubernetes`."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from pilothouse.testing.server import APIServer, environment

FOUND = importlib.util.find_spec("ansible_collections") or os.environ.get("ANSIBLE_COLLECTIONS_PATH")
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    web:
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: web, namespace: play, labels: {app: web}}
      spec:
        replicas: 1
        selector: {matchLabels: {app: web}}
        template:
          metadata: {labels: {app: web}}
          spec: {containers: [{name: main, image: "example.org/web:1"}]}
    widgets:
      apiVersion: apiextensions.k8s.io/v1
      kind: CustomResourceDefinition
      metadata: {name: widgets.example.com}
      spec:
        group: example.com
        scope: Namespaced
        names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
        versions:
          - name: v1
            served: true
            storage: true
            schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
  tasks:
    - kubernetes.core.k8s: {api_version: v1, kind: Namespace, name: play}
    - kubernetes.core.k8s: {definition: "{{ web }}"}
      check_mode: true
      register: checked
    - kubernetes.core.k8s: {definition: "{{ web }}"}
      register: created
    - kubernetes.core.k8s: {definition: "{{ web }}"}
      register: again
    - kubernetes.core.k8s: {definition: "{{ web }}", apply: true}
    - kubernetes.core.k8s:
        definition: "{{ web | combine({'spec': {'replicas': 2}}, recursive=true) }}"
        apply: true
        server_side_apply: {field_manager: ansible, force_conflicts: true}
      register: applied
    - kubernetes.core.k8s_scale:
        {api_version: apps/v1, kind: Deployment, name: web, namespace: play, replicas: 3, wait: false}
      register: scaled
    - kubernetes.core.k8s_json_patch:
        api_version: apps/v1
        kind: Deployment
        name: web
        namespace: play
        patch: [{op: add, path: /metadata/annotations/a, value: b}]
      register: patched
    - kubernetes.core.k8s:
        {definition: "{{ widgets }}", wait: true, wait_condition: {type: Established, status: "True"}}
    - kubernetes.core.k8s:
        api_version: example.com/v1
        kind: Widget
        name: one
        namespace: play
        resource_definition: {spec: {a: 1}}
    - kubernetes.core.k8s_info: {api_version: example.com/v1, kind: Widget, namespace: play}
      register: found
    - kubernetes.core.k8s_info:
        {kind: Deployment, api_version: apps/v1, namespace: play, label_selectors: [app=web]}
      register: listed
    - kubernetes.core.k8s:
        {definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: Upper, namespace: play}}}
      register: refused
      ignore_errors: true
    - kubernetes.core.k8s: {state: absent, definition: "{{ web }}"}
      register: deleted
    - kubernetes.core.k8s: {state: absent, definition: "{{ web }}"}
      register: gone
    - assert:
        that:
          - checked is changed and created is changed and again is not changed
          - created.result.metadata.uid != ""
          - applied.result.spec.replicas == 2
          - scaled.result.spec.replicas == 3
          - patched.result.metadata.annotations.a == "b"
          - found.resources | map(attribute="spec.a") | list == [1]
          - listed.resources | map(attribute="metadata.name") | list == ["web"]
          - refused is failed and "Invalid value" in refused.msg
          - deleted is changed and gone is not changed
"""


@pytest.mark.slow
@pytest.mark.skipif(not FOUND, reason="on request: pip install ansible, which brings kubernetes.core")
def test_a_playbook(server: APIServer, tmp_path: pathlib.Path) -> None:
    playbook = tmp_path / "playbook.yaml"
    playbook.write_text(PLAYBOOK)
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(playbook)],
        env=environment(server)
        | {
            "HOME": str(tmp_path),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
