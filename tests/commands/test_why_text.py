"""The output of `pilothouse why`."""

import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pilothouse.commands import why_text

STAGES = [{"name": "authentication", "seconds": 0.0001}, {"name": "answer", "seconds": 1.5}]
REQUEST = {"received": "2026-11-26T12:00:00Z", "verb": "list", "path": "/api/v1/pods", "query": "limit=5"}
SERVER = {"name": "apiserver-x", "process": 7}


def shown(**members: Any) -> str:
    one = {
        "auditID": "abc",
        "why": "It was allowed and carried out.",
        "request": REQUEST,
        "answer": {"code": 200, "bytes": 5},
        "authentication": {
            "recognisedBy": "token file",
            "user": {"username": "jane", "groups": ["dev", "ops"]},
        },
        "stages": STAGES,
        "seconds": 1.5001,
    }
    return why_text.explained({"server": SERVER, "requests": [{**one, **members}]})


def test_a_read() -> None:
    assert shown() == textwrap.dedent("""\
        request         abc
                        list /api/v1/pods?limit=5
                        received 2026-11-26T12:00:00Z
        answer          200, 5 bytes after 1.50s
        why             It was allowed and carried out.
        user            jane (groups: dev, ops), recognised by: token file
        stages          authentication 100us, answer 1.50s

        kept by         process 7 of apiserver-x""")


def test_all_that_can_be_told() -> None:
    text = shown(
        request={**REQUEST, "sourceIP": "192.0.2.1", "userAgent": "kubectl"},
        answer={
            "code": 403,
            "reason": "Forbidden",
            "message": "no " * 40,
            "bytes": 5,
            "causes": [{"field": "a", "message": "b"}, {"reason": "C", "message": "c"}],
        },
        impersonation={"user": {"username": "joe"}, "constraint": "impersonate:user-info"},
        flowControl={"flowSchema": "s", "priorityLevel": "l", "queue": {"seats": 2, "waitedSeconds": 0.02}},
        authorization={
            "decision": "not allowed",
            "reason": "RBAC: x",
            "rule": {"verbs": ["*"]},
            "wouldAllow": "kind: Role\n",
        },
        admission=[
            {
                "phase": "admit",
                "plugin": "P",
                "verdict": "changed the object",
                "changed": ["a", "b"],
                "seconds": 0.0001,
            },
            {
                "phase": "validate",
                "plugin": "W",
                "name": "w",
                "by": "c",
                "verdict": "refused",
                "message": "m",
                "seconds": 2,
            },
        ],
        commit={"revision": 9, "seconds": 0.001},
    )
    for line in (
        "                received 2026-11-26T12:00:00Z, from 192.0.2.1, by kubectl",
        "cause           a: b",
        "cause           c",
        "acting as       joe, allowed by the verb impersonate:user-info",
        "flow            schema s, level l, 2 seats, after waiting for 20.0ms",
        "authorization   not allowed",
        '                rule: {"verbs":["*"]}',
        "  PHASE     PLUGIN  WEBHOOK OR POLICY  TIME   VERDICT",
        "  admit     P                          100us  changed the object: a, b",
        "  validate  W       w (c)              2.00s  refused",
        "                w: m",
        "commit          revision 9, the store took 1000us",
        "would allow it  kubectl apply -f - <<'EOF'",
        "kind: Role",
        "EOF",
    ):
        assert line in text.split("\n"), line
    assert max(map(len, text.split("\n"))) <= why_text.WIDTH


def test_no_client_controls_the_terminal() -> None:
    request = {**REQUEST, "path": "/\x1b[2J", "userAgent": "\x9b"}
    text = shown(request=request, answer={"code": 404, "bytes": 5, "message": "\x1b]0;x\x07"})
    assert text.replace("\n", "").isprintable() and "list /\\x1b[2J?limit=5" in text


def test_the_shell_expands_nothing_of_what_is_pasted(tmp_path: Path) -> None:
    """The document reaches kubectl as it is, whatever path a client has asked for."""
    document = "nonResourceURLs:\n- /$(touch pwned)`touch pwned`$HOME\\\n"
    text = shown(authorization={"decision": "not allowed", "wouldAllow": document})
    pasted = text.partition("would allow it  ")[2].partition("\n\n")[0]
    (tmp_path / "kubectl").write_text("#!/bin/sh\nexec cat\n")
    (tmp_path / "kubectl").chmod(0o700)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", pasted], capture_output=True, text=True, check=True, cwd=tmp_path, env={"PATH": path}
    )
    assert done.stdout == document and not (tmp_path / "pwned").exists()


def test_a_column_that_is_empty_is_left_out() -> None:
    text = shown(admission=[{"phase": "admit", "plugin": "P", "verdict": "passed", "seconds": 0.5}])
    assert "  PHASE  PLUGIN  TIME     VERDICT" in text.split("\n")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0000014, "1us"), (0.0099, "9900us"), (0.01, "10.0ms"), (1.0, "1.00s")]
)
def test_durations(value: float, text: str) -> None:
    assert why_text.seconds(value) == text


def test_a_list() -> None:
    one = {
        "received": "t",
        "user": "jane",
        "verb": "get",
        "path": "/x",
        "code": 200,
        "seconds": 0.001,
        "auditID": "abc",
    }
    assert why_text.listed({"requests": [one], "more": True}) == textwrap.dedent("""\
        RECEIVED  USER  VERB  PATH  CODE  TIME    AUDIT-ID
        t         jane  get   /x    200   1000us  abc
        (there are more: --limit)""")


def test_a_wide_list_in_colours() -> None:
    one = {
        "received": "t",
        "user": "jane",
        "verb": "get",
        "path": "/x",
        "code": 403,
        "seconds": 0.001,
        "auditID": "a",
    }
    found = {
        "requests": [one | {"server": "s", "message": "because"}, one | {"code": 500}],
        "notes": ["1 of 2"],
    }
    head, *rows, note = why_text.listed(found, wide=True, colours=True).split("\n")
    assert head.startswith("\x1b[1mRECEIVED") and "SERVER  REASON" in head
    assert rows[0].startswith("\x1b[33mt ") and "  s       because\x1b[0m" in rows[0]
    assert rows[1].startswith("\x1b[31mt ") and note == "(1 of 2)"
    assert "\x1b" not in why_text.listed(found, wide=True)
