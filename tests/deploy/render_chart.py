"""Lints and renders a chart by Helm's own library, in a process of its own: a runtime of Go comes with the library.

Reads from standard input `{"chart": path, "values": {...}, "namespace": text}` and prints
`{"found": [message, ...], "manifests": {path: text}}` or `{"error": text}`.
"""

import json
import sys


def main() -> None:
    from helm_python import HelmError
    from helm_python.chart import Chart, lint

    asked = json.load(sys.stdin)
    try:
        found = lint(asked["chart"], asked["values"], strict=True)["messages"]
        manifests = Chart.load(asked["chart"]).render(
            asked["values"], name="one", namespace=asked["namespace"]
        )
    except HelmError as error:
        print(json.dumps({"error": str(error)}))
    else:
        print(json.dumps({"found": found, "manifests": manifests}))


if __name__ == "__main__":
    main()
