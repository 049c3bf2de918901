import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from pilothouse import logs

log = logging.getLogger("pilothouse.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)
    logs._level, logs._modules = 0, ()
    logs._allowed.cache_clear()


def test_text(stream: io.StringIO) -> None:
    listener = logs.setup("text", 0, (), stream)
    log.info("listening", extra={"kv": {"port": 6443, "host": 'a "b"', "on": True}})
    log.warning("odd %s", "thing", extra={"err": ValueError("bad")})
    logs.flush(listener)
    first, second = stream.getvalue().splitlines()
    head = r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ test_logs\.py:\d+\] "
    assert re.fullmatch(head + r'"listening" port=6443 host="a \\"b\\"" on=true', first)
    assert re.match(r"W\d{4} ", second) and second.endswith('"odd thing" err="bad"')


def test_json(stream: io.StringIO) -> None:
    listener = logs.setup("json", 0, (), stream)
    log.info("listening", extra={"kv": {"port": 6443}})
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("failed")
    logs.flush(listener)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["msg"] == "listening" and first["port"] == 6443 and first["v"] == 0
    assert first["caller"].startswith("test_logs.py:") and first["ts"] > 1e12
    assert second["err"] == "ValueError: bad" and "Traceback" in second["stacktrace"] and "v" not in second


def test_verbosity(stream: io.StringIO) -> None:
    listener = logs.setup("json", 2, (), stream)
    logs.verbose(log, 2, "shown", kind="pods")
    logs.verbose(log, 3, "hidden")
    log.debug("hidden")
    logs.flush(listener)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["msg"], line["v"], line["kind"]) == ("shown", 2, "pods")
    assert line["caller"].startswith("test_logs.py:")
    assert logs.enabled(2) and not logs.enabled(3)


def test_verbosity_of_modules(stream: io.StringIO) -> None:
    listener = logs.setup("json", 2, (("test_*", 4), ("other", 9)), stream)
    logs.verbose(log, 4, "shown")
    logs.verbose(log, 5, "hidden")
    logs.flush(listener)
    assert [json.loads(line)["msg"] for line in stream.getvalue().splitlines()] == ["shown"]
    assert logs.enabled(9, "/x/other.py") and not logs.enabled(3, "/x/third.py")
