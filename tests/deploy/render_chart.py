"""Lints and renders a chart by Helm's own library, in a process of its own:
a runtime of Go comes with the library.

`python render_chart.py install NAME CHART` takes the flags of `helm install` that the tests and
docs/install.md use, and prints `{"found": [message, ...], "manifests": {path: text}}` or `{"error": text}`.
"""

import argparse
import json
from typing import Any


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["install"])
    parser.add_argument("name")
    parser.add_argument("chart")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--values", type=json.loads, default={}, help="as JSON")
    return parser.parse_args()


def main() -> None:
    from helm_python import HelmError, parse_set_string
    from helm_python.chart import Chart, lint

    asked = parsed()
    answer: dict[str, Any]
    try:
        values = asked.values | (parse_set_string(",".join(asked.set)) if asked.set else {})
        chart = Chart.load(asked.chart)
        answer = {
            "found": lint(asked.chart, values, strict=True)["messages"],
            "manifests": chart.render(values, name=asked.name, namespace=asked.namespace),
        }
    except HelmError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
