"""The dashboards are up to date, and ask for metrics and labels that exist."""

import json
import re
from pathlib import Path

import yaml
from generators import ROOT, load, run

DOCUMENTED = re.compile(r"^\| `([a-z0-9_]+)` \| (counter|gauge|histogram|summary) \| \w* \| (.*?) \|", re.M)
FOREIGN = {"job", "instance", "cluster", "le", "__name__"}
"""Labels that Prometheus sets, and those that a histogram has."""


def test_the_dashboards_are_up_to_date(tmp_path: Path) -> None:
    generator = load("gen_dashboards")
    run(generator, "--out", str(tmp_path))
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text() for path in generator.DASHBOARDS.iterdir()}, "make map"


def declared() -> dict[str, set[str]]:
    """The labels of every series that a server shows, by its name, out of docs/metrics.md."""
    out: dict[str, set[str]] = {}
    for name, kind, labels in DOCUMENTED.findall((ROOT / "docs/metrics.md").read_text()):
        suffixes = ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)
        out |= {name + suffix: set(re.findall(r"`(\w+)`", labels)) for suffix in suffixes}
    return out


def test_rules_and_panels_name_metrics_and_labels_that_exist() -> None:
    monitoring = ROOT / "deploy/monitoring"
    known = declared()
    seen = set()
    for path in (monitoring / "rules.yml", *(monitoring / "dashboards").glob("*.json")):
        text = path.read_text().replace('\\"', '"')
        for name, selector in re.findall(r"\b([a-z]\w+)\{([^}]*)\}", text):
            if name == "up" or 'job="etcd"' in selector:
                continue
            assert name in known, f"{path.name}: {name}"
            labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", selector))
            assert labels <= known[name] | FOREIGN, f"{path.name}: {name}{{{selector}}}"
            seen.add(name)
    assert len(seen) > 60


GRAFANA = ROOT / "deploy/monitoring/grafana"
UNITS = {"short", "s", "bytes", "Bps", "reqps", "ops", "cps", "percentunit"}
"""Units of Grafana (`id` in its valueFormats)."""
GIVEN = {"__rate_interval", "__all"}
"""Variables that Grafana sets."""


def test_dashboards_are_whole() -> None:
    """Panels are beside each other, ask the chosen data source,
    have units that Grafana knows, and use variables that exist."""
    uids = []
    for path in sorted((ROOT / "deploy/monitoring/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        uids.append(board["uid"])
        variables = {one["name"]: one for one in board["templating"]["list"]}
        assert variables["datasource"]["query"] == "prometheus"
        used = set(re.findall(r"\$\{?(\w+)", path.read_text()))
        assert used == variables.keys() | GIVEN, path.name
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            assert panel["title"] and panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * 2
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
            taken |= cells
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len(set(uids)) == len(uids) and all(len(uid) <= 40 for uid in uids)


def test_what_is_provisioned_is_where_the_page_puts_it() -> None:
    """docs/monitoring.md mounts the folders, and sets the variable, that the files name."""
    page = (ROOT / "docs/monitoring.md").read_text()
    [provider] = yaml.safe_load((GRAFANA / "dashboards/pilothouse.yml").read_text())["providers"]
    [source] = yaml.safe_load((GRAFANA / "datasources/prometheus.yml").read_text())["datasources"]
    assert f"deploy/monitoring/dashboards:{provider['options']['path']}:ro" in page
    assert "deploy/monitoring/grafana:/etc/grafana/provisioning:ro" in page
    assert (provider["type"], source["type"], source["isDefault"]) == ("file", "prometheus", True)
    assert f"-e {source['url'].lstrip('$')}=http" in page
