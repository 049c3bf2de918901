import ast
import asyncio
import io
import json
import logging
import pathlib
import queue
import re
import time

import pytest
from eventually import eventually
from harness import CONFIG_MAPS, Rig, config_map
from syntax import parsed

import pilothouse
from pilothouse import logs
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.logs import BURST, Repeats
from pilothouse.registry.admission import AdmissionAttributes

log = logs.Logger("pilothouse.test")


def test_text(stream: io.StringIO) -> None:
    listener = logs.setup("text", 0, (), stream)
    log.info("listening", port=6443, host='a "b"', on=True)
    log.warning("odd thing", name="a", err=ValueError("bad"))
    logs.flush(listener)
    first, second = stream.getvalue().splitlines()
    head = r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ test_logs\.py:\d+\] "
    assert re.fullmatch(head + r'"listening" port=6443 host="a \\"b\\"" on=true', first)
    assert re.match(r"W\d{4} ", second) and second.endswith('"odd thing" err="bad" name="a"')


def test_json(stream: io.StringIO) -> None:
    listener = logs.setup("json", 0, (), stream)
    log.info("listening", port=6443)
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
    log.verbose(2, "shown", kind="pods")
    log.verbose(3, "hidden")
    logs.flush(listener)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["msg"], line["v"], line["kind"]) == ("shown", 2, "pods")
    assert line["caller"].startswith("test_logs.py:")


def test_verbosity_of_modules(stream: io.StringIO) -> None:
    listener = logs.setup("json", 2, (("test_*", 4), ("other", 9)), stream)
    log.verbose(4, "shown")
    log.verbose(5, "hidden")
    logs.flush(listener)
    assert [json.loads(line)["msg"] for line in stream.getvalue().splitlines()] == ["shown"]


def test_other_libraries_are_logged_too(stream: io.StringIO) -> None:
    listener = logs.setup("text", 0, (), stream)
    logging.getLogger("some.other").warning("odd %s", "thing")
    logs.flush(listener)
    assert re.search(r" test_logs\.py:\d+\] \"odd thing\"$", stream.getvalue().strip())


def test_the_lines_of_a_compiled_module_name_its_file(stream: io.StringIO) -> None:
    listener = logs.setup("text", 2, (("_some", 4), ("_other", 3)), stream)
    compiled = logs.Logger("pilothouse.test", "_some.pyx")
    compiled.info("shown")
    compiled.verbose(4, "detail")
    logs.Logger("pilothouse.test", "_other.pyx").verbose(4, "hidden")
    logs.flush(listener)
    assert [line.partition(" _some.pyx] ")[2] for line in stream.getvalue().splitlines()] == [
        '"shown"',
        '"detail"',
    ]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_500_is_logged_with_its_audit_id_path_and_error(stream: io.StringIO, form: str) -> None:
    async def main() -> None:
        async with Rig() as rig:
            rig.verbs.store = None  # type: ignore[assignment]
            await rig.fail(500, "GET", f"{CONFIG_MAPS}/a?pretty=true", headers={"Audit-ID": "some-id"})

    listener = logs.setup(form, 0, (), stream)
    asyncio.run(main())
    logs.flush(listener)
    path = f"{CONFIG_MAPS}/a?pretty=true"
    if form == "json":
        (line,) = map(json.loads, stream.getvalue().splitlines())
        assert (line["auditID"], line["method"], line["path"]) == ("some-id", "GET", path)
        assert line["err"].startswith("AttributeError: ") and "Traceback" in line["stacktrace"]
        assert line["caller"].startswith("pipeline.py:")
    else:
        line, trace = stream.getvalue().split("\n", 1)
        assert re.match(r"E\d{4} .* pipeline\.py:\d+\] \"A request failed\" err=\"AttributeError: ", line)
        assert line.endswith(f'" auditID="some-id" method="GET" path="{path}"') and trace.startswith(
            "Traceback"
        )


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_lines_of_a_request_tell_its_audit_id(form: str, stream: io.StringIO) -> None:
    """The lines that are written before the request waits, afterwards, on a thread and by a library tell it;
    no others do."""

    class Telling(AdmissionPlugin):
        name = "Telling"

        def mutate(self, a: AdmissionAttributes) -> None:
            log.info("mutating", size=a.work.bytes > 0)

        async def validate(self, a: AdmissionAttributes) -> None:
            log.info("validating", auditID="its own")
            logging.getLogger("elsewhere").warning("of a library")

    async def main() -> None:
        async with Rig((Telling(),), namespaces=()) as rig:
            for name, data in (("a", {}), ("b", {"x": "y" * 20_000})):
                body = config_map(name, data=data)
                await rig.call("POST", CONFIG_MAPS, body, headers={"Audit-ID": f"{name * 100}"})
            log.info("outside")

    listener = logs.setup(form, 0, (), stream)
    asyncio.run(main())
    logs.flush(listener)
    ids = {"a": "a" * 64, "b": "b" * 64}
    if form == "json":
        found = [
            (line["msg"], line.get("auditID", "")) for line in map(json.loads, stream.getvalue().splitlines())
        ]
    else:
        found = re.findall(r'\] "([^"]*)"(?: size=\w+)?(?: auditID="([^"]*)")?', stream.getvalue())
    expected = []
    for name in ("a", "b"):
        expected += [("mutating", ids[name]), ("validating", "its own"), ("of a library", ids[name])]
    assert [line for line in found if line[0] in ("mutating", "validating", "of a library", "outside")] == [
        *expected, ("outside", ""),
    ]  # fmt: skip
    assert stream.getvalue().count("true") == 1, "one object was changed on a thread"


def test_lines_that_repeat_are_limited_and_how_many_is_told(stream: io.StringIO) -> None:
    listener = logs.setup("json", 6, (), stream)
    for number in range(BURST + 7):
        log.warning("again and again", number=number)
        log.verbose(6, "detail")
    log.error("another message")
    logs.flush(listener)
    lines = list(map(json.loads, stream.getvalue().splitlines()))
    numbers = [line["number"] for line in lines if line["msg"] == "again and again"]
    assert numbers == list(range(BURST))
    assert sum(line["msg"] == "detail" for line in lines) == BURST + 7, "detail is asked for"
    assert lines[-2]["msg"] == "another message"
    told = lines[-1]
    assert told["msg"] == "Lines with the same message were left out"
    assert (told["message"], told["count"]) == ("again and again", 7)
    assert told["caller"].startswith("test_logs.py:")


def test_left_out_lines_are_told_though_nothing_else_is_logged(
    stream: io.StringIO,
) -> None:
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    writer = logs._Writer(lines, logging.StreamHandler(stream), Repeats(burst=1, period=0.05))
    writer.start()
    for _ in range(3):
        lines.put(logging.makeLogRecord({"name": "a", "msg": "again", "created": time.time()}))
    eventually(lambda: "left out" in stream.getvalue(), "the line that tells it")
    writer.stop()
    assert stream.getvalue().splitlines() == ["again", "Lines with the same message were left out"]


def test_a_text_of_several_lines(stream: io.StringIO) -> None:
    listener = logs.setup("text", 2, (), stream)
    assert log.enabled(2) and not log.enabled(3)
    log.verbose_text(2, 'Trace[1]: "Get"\nTrace[1]: END')
    logs.flush(listener)
    assert re.fullmatch(
        r'I\d{4} .* test_logs\.py:\d+\] Trace\[1\]: "Get"\nTrace\[1\]: END\n', stream.getvalue()
    )


METHODS = ("info", "warning", "error", "exception")


def test_all_logging_goes_through_the_helper() -> None:
    """Messages are constants, what varies is in pairs:
    everything else would be lost or could not be searched for."""
    root = pathlib.Path(pilothouse.__file__).parent
    odd = []
    for path in root.rglob("*.py"):
        if path in (root / "logs.py", root / "repeats.py"):
            continue
        text = path.read_text()
        if "logging" not in text and "log = Logger(" not in text:
            continue
        for node in ast.walk(parsed(text)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                if any(name.partition(".")[0] == "logging" for name in names):
                    odd.append(f"{path.name}:{node.lineno}: imports logging")
            if "log = Logger(" not in text or not isinstance(node, ast.Call):
                continue
            if not (isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", None) == "log"):
                continue
            if node.func.attr in ("enabled", "verbose_text"):
                continue
            message = node.args[1:] if node.func.attr == "verbose" else node.args
            constant = len(message) == 1 and isinstance(message[0], ast.Constant | ast.Name)
            plain = not any(keyword.arg in ("extra", "exc_info", "stacklevel") for keyword in node.keywords)
            if node.func.attr not in (*METHODS, "verbose") or not constant or not plain:
                odd.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert odd == []
