"""The commands of the pages work, in their order; see pages.py for how a block is marked."""

import pathlib
import re
import shutil

import pytest
from docs.pages import blocks, run, script

DOCS = pathlib.Path(__file__).parents[2] / "docs"
PAGES = sorted(page for page in DOCS.glob("*.md") if any(b.runs for b in blocks(page.read_text())))
PROGRAMS = {"testing.md": ("etcd",), "backup.md": ("etcd", "etcdutl")}
"""What a page needs beside the development environment."""


@pytest.mark.slow
@pytest.mark.timeout(360)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work(page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for program in PROGRAMS.get(page.name, ()):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    status, printed = run(page.read_text(), tmp_path)
    assert status == 0, printed


def test_the_index_marks_the_pages_that_are_run() -> None:
    marked = re.findall(r"\[(\S+)\]\(\1\) ▶", (DOCS / "README.md").read_text())
    transcripts = ["troubleshooting.md"]  # tests/e2e/test_transcripts.py runs them
    assert sorted(marked) == sorted([page.name for page in PAGES] + transcripts)


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
```sh
kill $job; test $value = 1; echo port 6443
```
"""


def test_blocks_share_a_shell_and_files(tmp_path: pathlib.Path) -> None:
    status, printed = run(PAGE, tmp_path)
    assert status == 0, printed
    assert "a: $value\n" in printed and "port 6443" not in printed
    assert [block.line for block in blocks(PAGE)] == [3, 7, 12, 15, 18, 21]


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
