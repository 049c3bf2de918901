"""The commands of the pages work, in their order; see pages.py for how a block is marked."""

import os
import pathlib
import re
import shutil

import pytest
from docs.pages import ROOT, blocks, main, run, script

DOCS = ROOT / "docs"
ALL = sorted(DOCS.glob("*.md"))
PAGES = [page for page in ALL if any(b.runs for b in blocks(page.read_text()))]
PROGRAMS = {"backup.md": ("etcd", "etcdutl"), "production.md": ("etcd", "haproxy")}
"""The programs that a page needs beside the development environment."""
NOT_RUN = {
    "changes the host; tests/deploy/test_systemd.py checks the units": 1,
    "installs packages of the system": 1,
    "needs Helm and a cluster; tests/deploy/test_helm.py follows it": 2,
    "needs a checkout with an environment for development; tests/deploy/test_monitoring.py runs all of it": 1,
    "it takes half a minute": 2,
    "needs a kubelet; tests/deploy/test_static_pod.py tries the manifest": 1,
    "needs a module of Go with tests that use envtest; "
    "tests/e2e/test_envtest.py starts the server by the same flags": 1,
    "needs an image of Grafana; tests/test_gen_dashboards.py checks the files": 1,
    "changes the host; tests/deploy/test_debian.py runs it on request": 1,
    "changes the host; tests/deploy/test_image.py runs it on request": 2,
    "needs kubeadm; tests/deploy/test_kubeadm.py tries what kubeadm makes of it": 2,
    "needs root and a host of its own; tests/node/rig does the same in a network namespace": 5,
    "a part of the example's file": 2,
    "a part of a module": 1,
    "takes hours, and a load generator that is not part of the project": 1,
    "the tests run where the package is installed": 2,
    "tests/testing/test_plugin.py runs pytest with each option": 2,
}
"""The reasons why blocks are not run, and the number of blocks for each."""


@pytest.fixture
def variables(tmp_path: pathlib.Path) -> dict[str, str]:
    """Variables that have pip install into the folder of the page, out of what is there:
    nothing comes from the network."""
    site = str(tmp_path / "site")
    return {
        "PIP_TARGET": site,
        "PYTHONPATH": os.pathsep.join([site, str(ROOT / "src")]),
        **dict.fromkeys(("PIP_NO_INDEX", "PIP_NO_DEPS", "PIP_DISABLE_PIP_VERSION_CHECK"), "1"),
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it so: without
    }


@pytest.mark.apart
@pytest.mark.slow
@pytest.mark.timeout(360)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work(
    page: pathlib.Path, tmp_path: pathlib.Path, variables: dict[str, str]
) -> None:
    for program in PROGRAMS.get(page.name, ()):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    status, printed = run(page.read_text(), tmp_path, variables)
    assert status == 0, printed


def test_the_index_marks_the_pages_that_are_run() -> None:
    marked = re.findall(r"\[(\S+)\]\(\1\) ▶", (DOCS / "README.md").read_text())
    assert sorted(marked) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.stem)
def test_it_is_told_what_becomes_of_each_block(page: pathlib.Path) -> None:
    """A program is run or says why not, a file is written;
    nothing is hidden by an indent or an unknown comment."""
    text = page.read_text()
    assert [block.line for block in blocks(text) if not block.clear] == []
    assert len(blocks(text)) * 2 == len(re.findall(r"^ *```", text, re.M))
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    assert re.findall(r"\n\n {4,}(\S.*)", prose) == [], "fence it"
    known = r"<!-- ((file|refused|needs|not run|run|generated): \S.*|server:.*|checkout|end) ?-->"
    assert [line for line in re.findall(r"^<!--.*", prose, re.M) if not re.fullmatch(known, line)] == []


def test_transcripts_are_those_of_the_page_that_a_test_plays() -> None:
    """tests/test_transcripts.py."""
    assert [p.name for p in ALL if any(b.language == "console" for b in blocks(p.read_text()))] == [
        "troubleshooting.md"
    ]


def test_few_blocks_are_not_run_and_the_reasons_are_these() -> None:
    found: dict[str, int] = {}
    for page in ALL:
        for reason in [b.marks["not run"] for b in blocks(page.read_text()) if "not run" in b.marks]:
            found[reason] = found.get(reason, 0) + 1
    assert found == NOT_RUN
    for path in re.findall(r"tests/[\w/.]+", " ".join(found)):
        assert (ROOT / path).exists(), path


PAGE = """
```sh
value=1; sleep 60 & job=$!
```
<!-- file: a.yaml -->
```yaml
a: $value
```
<!-- not run: it would fail -->

```sh
false
```
```text
false
```
```python
print(open("a.yaml").read())
```
<!-- needs: bash no-such-program -->
```sh
false
```
<!-- needs: bash -->
<!-- refused: it fails -->
```sh
false
```
```sh
kill $job; test $value = 1; echo port 6443 at 192.0.2.10 in /etc/kubernetes/a not /my/etc/kubernetes or 16443
```
"""


def test_blocks_share_a_shell_and_files(tmp_path: pathlib.Path) -> None:
    status, printed = run(PAGE, tmp_path)
    assert status == 0, printed
    assert "a: $value\n" in printed and "port 6443" not in printed
    assert f"at 127.0.0.1 in {tmp_path}/etc/kubernetes/a not /my/etc/kubernetes or 16443" in printed
    assert [block.line for block in blocks(PAGE)] == [3, 7, 12, 15, 18, 22, 27, 30]


def test_the_first_command_that_fails_ends_a_page(tmp_path: pathlib.Path) -> None:
    status, printed = run("```sh\nfalse | true\necho after\n```\n", tmp_path)
    assert status == 1 and "--- line 2" in printed and "after" not in printed


@pytest.mark.parametrize(("command", "status"), [("false", 0), ("true", 1)])
def test_what_must_be_refused(command: str, status: int, tmp_path: pathlib.Path) -> None:
    ended, printed = run(f"<!-- refused: it fails -->\n```sh\n{command}\n```\n", tmp_path)
    assert ended == status and ("not refused" in printed) == bool(status)


def test_a_block_that_is_not_run_has_a_reason() -> None:
    assert "false" not in script("<!-- not run: it fails -->\n```sh\nfalse\n```\n")
    assert "false" in script("<!-- not run: -->\n```sh\nfalse\n```\n")


def test_a_block_of_which_nothing_is_told() -> None:
    assert [block.clear for block in blocks("```yaml\na: b\n```\n```bash\nls\n```\n```\nls\n```\n")] == [
        False
    ] * 3


def test_the_command_says_which_pages_fail(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("```sh\ntrue\n```\n")
    bad.write_text("```sh\nfalse\n```\n")
    assert main([str(bad), str(good)]) == 1
    printed = capsys.readouterr().out
    assert "bad.md: 1 blocks failed with status 1" in printed and "good.md: 1 blocks work" in printed
    assert main([str(good)]) == 0
