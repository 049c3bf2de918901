import os
import pathlib
import signal
import sys
import threading

from eventually import eventually

from pilothouse.workers.supervisor import Supervisor

CHILD = """
import os, pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(sys.argv[2])))
mine = pathlib.Path(sys.argv[1], str(os.getpid()))
mine.touch()
if len(sys.argv) > 3:
    while not pathlib.Path(sys.argv[3]).exists():
        signal.sigtimedwait((), 0.01)
signal.signal(signal.SIGHUP, lambda *_: mine.write_text("looks"))
signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
while True:
    signal.pause()
"""


def pids(directory: pathlib.Path) -> set[int]:
    return {int(path.name) for path in directory.iterdir()}


def wait_for(directory: pathlib.Path, count: int) -> set[int]:
    eventually(lambda: len(pids(directory)) >= count, f"{count} workers")
    return pids(directory)


def supervise(
    directory: pathlib.Path, status: int = 0, *more: str
) -> tuple[Supervisor, threading.Thread, list[int]]:
    supervisor = Supervisor([sys.executable, "-c", CHILD, str(directory), str(status), *more], 2)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(supervisor.run()))
    thread.start()
    return supervisor, thread, results


def test_a_dead_worker_is_replaced(tmp_path: pathlib.Path) -> None:
    supervisor, thread, results = supervise(tmp_path)
    first = wait_for(tmp_path, 2)
    os.kill(min(first), signal.SIGKILL)
    after = wait_for(tmp_path, 3)
    assert max(first) in {w.process.pid for w in supervisor.workers if w.process is not None}
    supervisor.stop()
    thread.join(10)
    assert results == [0]
    for pid in after:
        assert not pathlib.Path(f"/proc/{pid}").exists()


def test_the_status_of_a_failure_is_told(tmp_path: pathlib.Path) -> None:
    supervisor, thread, results = supervise(tmp_path, 3)
    wait_for(tmp_path, 2)
    supervisor.stop()
    thread.join(10)
    assert results == [3]


def test_a_worker_that_is_ended_before_it_is_ready_is_no_failure() -> None:
    supervisor = Supervisor([sys.executable, "-c", "import signal; signal.pause()"], 2)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(supervisor.run()))
    thread.start()
    supervisor.stop()
    thread.join(10)
    assert results == [0]


def test_no_worker_starts_after_a_stop(tmp_path: pathlib.Path) -> None:
    """A signal that comes while the certificates are made."""
    supervisor = Supervisor([sys.executable, "-c", CHILD, str(tmp_path), "0"], 2)
    supervisor.stop()
    assert supervisor.run() == 0
    assert [worker.process for worker in supervisor.workers] == [None, None]


def test_all_workers_are_told_to_look_at_their_files(tmp_path: pathlib.Path) -> None:
    """Workers that cannot handle the signal yet are told as well: it waits, and does not kill them."""
    directory, go = tmp_path / "pids", tmp_path / "go"
    directory.mkdir()
    supervisor, thread, results = supervise(directory, 0, str(go))
    first = wait_for(directory, 2)
    supervisor.reload()
    go.touch()
    eventually(lambda: all(path.read_text() for path in directory.iterdir()), "both")
    assert pids(directory) == first
    supervisor.stop()
    thread.join(10)
    assert results == [0]


def test_workers_have_places_in_a_directory_that_goes_with_the_supervisor(tmp_path: pathlib.Path) -> None:
    program = (
        "import os, pathlib, sys; pathlib.Path(sys.argv[1], os.environ['PILOTHOUSE_WORKER'][-1]).write_text("
    )
    program += "os.environ['PILOTHOUSE_WORKER']); import signal; signal.pause()"
    supervisor = Supervisor([sys.executable, "-c", program, str(tmp_path)], 2)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    eventually(
        lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in "01"), "both"
    )
    places = [pathlib.Path((tmp_path / name).read_text()) for name in "01"]
    assert [place.name for place in places] == ["0", "1"] and places[0].parent == places[1].parent
    assert places[0].parent.stat().st_mode & 0o777 == 0o700
    supervisor.stop()
    thread.join(10)
    assert not places[0].parent.exists()
