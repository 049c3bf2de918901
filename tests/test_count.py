"""Counting instructions: what profiles say,
where the instructions belong, and what is held against the mark."""

import count
import pytest
from count_environment import differences
from count_packages import KEPT, Function, adjusted, listed, passed_over, place, places, read, total
from count_profiles import needed
from count_steps import steps

FILES = {0: "endpoints/pipeline.py", 0x1F: "caches.py"}
PROFILE = """\
# callgrind format
version: 1
positions: line
events: Ir
summary: 1170

ob=(1) /tmp/x/probe.so
fl=(1) /benchmarks/count_probe.c
fn=(1) Zfile_0
10 400
+2 100
cob=(2) /src/pilothouse/server/_http1.cpython-311-x86_64-linux-gnu.so
cfn=(2) __pyx_f_feed
calls=3 7
10 220
cob=(1)
cfn=(3) Zfile_1f
calls=4 20
* 300

fn=(3)
30 300

ob=(2)
fn=(2)
7 200
cob=(3) /lib/x86_64-linux-gnu/libc.so.6
cfn=(5) 0x0000000000012340
calls=2 1
8 20

ob=(3)
fn=(5)
0 20

ob=(4) /lib/x86_64-linux-gnu/libcrypto.so.3
fn=(6) EVP_EncryptUpdate'2
0 150

totals: 1170
"""
STEPS = {"get": 100, "create": 300}


PATTERNS = [option.removeprefix("--fn-skip=") for option in passed_over()]
STARTS = tuple(pattern.removesuffix("*") for pattern in PATTERNS if pattern.endswith("*"))


def skipped(name: str) -> bool:
    return name in PATTERNS or name.startswith(STARTS)


@pytest.mark.parametrize(
    "name", [*KEPT, "__pyx_f_4json_dump", "Zfile_1f", "0x0000000000012340", "SSL_read_ex", "uv__io_poll"]
)
def test_functions_that_say_where_they_belong_are_kept(name: str) -> None:
    assert not skipped(name)


@pytest.mark.parametrize(
    "name",
    [
        "_",
        "PyDict_New",
        "__Pyx_Call",
        "_PyEval_EvalFrameDefault",
        "0x0000000004990738",
        "S",
        "memcpy",
        "SSLv3",
    ],
)
def test_all_others_are_passed_over(name: str) -> None:
    assert skipped(name)


def test_a_profile_is_read() -> None:
    costs = read(PROFILE)
    http1 = Function("server/_http1.cpython-311-x86_64-linux-gnu.so", "__pyx_f_feed")
    assert costs.own[Function("probe.so", "Zfile_0")] == 500
    assert costs.own[http1] == 200
    assert costs.below[Function("probe.so", "Zfile_0"), http1] == 220
    assert costs.calls[Function("probe.so", "Zfile_0"), Function("probe.so", "Zfile_1f")] == 4
    assert costs.own.total() == total(PROFILE) == 1170


def test_instructions_belong_to_packages_and_the_c_library_s_to_its_caller() -> None:
    assert places(read(PROFILE), FILES) == {
        ("endpoints", "pipeline.py"): 500,
        ("pilothouse", "caches.py"): 300,
        ("server", "_http1"): 220,
        ("tls", ""): 150,
    }


def test_places_add_up_to_the_total_of_a_run_without_the_probe() -> None:
    """Calls of Python are dearer below it: 70 instructions go off the file with the calls."""
    assert adjusted(read(PROFILE), FILES, 1100) == {
        "endpoints/pipeline.py": 430,
        "pilothouse/caches.py": 300,
        "server/_http1": 220,
        "tls": 150,
    }


def test_files_are_numbered_by_the_probe() -> None:
    assert listed("0 endpoints/pipeline.py\n1f caches.py\n") == FILES


def test_a_compiled_module_belongs_to_the_package_of_its_folder() -> None:
    function = Function("api/cel/_cel.cpython-311-x86_64-linux-gnu.so", "__pyx_f_enter")
    assert place(function, {}) == ("api", "cel/_cel")
    assert place(Function("libpython3.11.so.1.0", "gc_collect_main"), {}) == ("garbage collection", "")


def test_an_event_costs_what_one_watcher_adds_to_a_change() -> None:
    counted = steps()
    costs = {
        "get": 700 * counted["get"].times,
        "change": 2_000 * counted["change"].times,
        "watch-event": 5_000 * counted["watch-event"].times,
    }
    assert count.per_operation(costs) == {"get": 700, "watch-event": 30}
    where = {name: {"api/json.py": cost} for name, cost in costs.items()}
    assert count.by_place(where)["watch-event"] == {"api/json.py": 30}


def test_steps_bring_those_that_they_need() -> None:
    assert list(needed(["watch-event"])) == ["change", "watch-event"]
    assert list(needed(["h2-watch-event"])) == ["change", "h2-watch-event"]
    assert list(needed(["delete"])) == ["create", "delete"]


def test_a_step_may_take_one_in_a_hundred_more() -> None:
    assert count.dearer({"get": 101, "create": 304, "new": 5}, STEPS) == ["create"]


def test_the_mark_is_only_lowered() -> None:
    mark = {"count": STEPS, "environment": {"python": "3.11.1"}, "ratio": {"get": 1.1}}
    new = {"python": "3.11.7"}
    assert count.update(mark, {"get": 101, "create": 300}, new) == mark
    assert count.update(mark, {"get": 99, "create": 301, "delete": 7}, new) == {
        "count": {"get": 99, "create": 300, "delete": 7},
        "environment": new,
        "ratio": {"get": 1.1},
    }


def test_tables() -> None:
    assert count.table({"get": 110, "new": 5}, STEPS)[1:] == [
        "get                     110          100   1.100",
        "new                       5            -       -",
    ]
    assert count.packages({"api/a.py": 5, "api/b.py": 2000, "tls": 30}) == [
        "  api                         2,005   b.py 2,000, a.py 5",
        "  tls                            30",
    ]
    assert (
        count.spread([{"get": 1000}, {"get": 1005}])[1] == "get                   1,000        1,005   0.500%"
    )


def test_an_environment_is_told_by_what_differs() -> None:
    assert differences({"python": "3.11.7", "glibc": "2.41"}, {"python": "3.11.7", "glibc": "2.36"}) == [
        "glibc was 2.36 and is 2.41"
    ]
