"""Installs, upgrades, tests and removes a chart by Helm's own library, in a process of its own:
a runtime of Go comes with it.

`python chart_release.py KUBECONFIG CHART WAIT VALUES` waits as `helm install --wait=WAIT` does, with values
as JSON. It prints `{"statuses": [text, ...], "error": text}`.
"""

import json
import sys
from typing import Any

SECONDS = 20


def main() -> None:
    from helm_python import Config, HelmError

    kubeconfig, chart, wait, text = sys.argv[1:]
    values: dict[str, Any] = json.loads(text)
    config = Config(kubeconfig_path=kubeconfig, namespace="default")
    seconds = values.pop("seconds", SECONDS)
    statuses: list[str] = []
    error = ""
    try:
        made = config.install(chart, "one", values, wait=wait, timeout=seconds)
        statuses.append(made["status"])
        made = config.upgrade(chart, "one", values | {"tag": "2"}, wait=wait, timeout=seconds)
        statuses.append(made["status"])
        config.test("one", timeout=seconds)
        config.rollback("one", version=1, wait=wait, timeout=seconds)
        statuses.append(config.status("one")["status"])
        config.uninstall("one", wait=wait, timeout=seconds)
    except HelmError as raised:
        error = str(raised)
    print(json.dumps({"statuses": statuses, "error": error}))


if __name__ == "__main__":
    main()
