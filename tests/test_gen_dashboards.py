"""The dashboards are up to date, and ask for metrics and labels that exist."""

import re
from pathlib import Path

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
