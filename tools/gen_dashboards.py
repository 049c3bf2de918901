"""Write the Grafana dashboards in deploy/monitoring/dashboards from tools/data/dashboards.yaml.

    python tools/gen_dashboards.py [--out FOLDER]

A panel has a title, a unit of Grafana and one of

    rate: METRIC   its events a second
    p99: METRIC    its 99th percentile, of a histogram
    query: PROMQL

the first two by the labels in `by`. In a selector `@` stands for the chosen servers, `[@]` for the window.
"""

import argparse
import json
import pathlib
import re
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).parent.parent
PANELS = ROOT / "tools/data/dashboards.yaml"
DASHBOARDS = ROOT / "deploy/monitoring/dashboards"

SERVERS = 'job="kube-apiserver",instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
LINK = {
    "type": "dashboards",
    "tags": ["pilothouse"],
    "title": "",
    "icon": "external link",
    "tooltip": "",
    "asDropdown": False,
    "targetBlank": False,
    "includeVars": True,
    "keepTime": True,
}
"""Each dashboard leads to the others, with the same servers and time."""
COLUMNS, WIDTH, HEIGHT = 2, 12, 8


def query(panel: dict[str, Any]) -> str:
    """The PromQL of a panel."""
    by = ", ".join(panel.get("by", []))
    if "rate" in panel:
        text = f"sum by ({by}) (rate({_selected(panel['rate'])}[@]))"
    elif "p99" in panel:
        labels = ", ".join(["le", *panel.get("by", [])])
        text = f"histogram_quantile(0.99, sum by ({labels}) (rate({_selected(panel['p99'], '_bucket')}[@])))"
    else:
        text = panel["query"]
    return text.replace("[@]", "[$__rate_interval]").replace("{@", "{" + SERVERS)


def _selected(metric: str, suffix: str = "") -> str:
    name, _, labels = metric.partition("{")
    return f"{name}{suffix}{{@{',' if labels else ''}{labels or '}'}"


def _panel(number: int, panel: dict[str, Any]) -> dict[str, Any]:
    legend = panel.get("legend") or " ".join(f"{{{{{label}}}}}" for label in panel.get("by", []))
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel["title"],
        "description": panel.get("about", ""),
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel["unit"], "min": 0}, "overrides": []},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": query(panel), "legendFormat": legend}],
    }


def _variable(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def dashboard(name: str, about: dict[str, Any]) -> dict[str, Any]:
    """A dashboard in Grafana's format; `name` is its address and the name of its file."""
    servers = 'label_values(up{job="kube-apiserver"}, instance)'
    return {
        "uid": f"pilothouse-{name}",
        "title": f"API server / {about['title']}",
        "tags": ["pilothouse"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "annotations": {"list": []},
        "links": [LINK],
        "templating": {
            "list": [
                _variable("datasource", "datasource", query="prometheus", label="Data source"),
                _variable(
                    "instance",
                    "query",
                    datasource=SOURCE,
                    query=servers,
                    label="Server",
                    refresh=2,
                    multi=True,
                    includeAll=True,
                    allValue=".*",
                    current={"text": "All", "value": "$__all"},
                ),
            ]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(about["panels"])],
    }


def main() -> None:
    """Command line entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=pathlib.Path, default=DASHBOARDS)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, about in yaml.safe_load(re.sub(r"^#.*\n", "", PANELS.read_text())).items():
        text = json.dumps(dashboard(name, about), indent=1, ensure_ascii=False)
        (out / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
