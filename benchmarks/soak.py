"""Whether memory stays where it is: 5,000 pods, then reads, lists and patches for twenty minutes.

    python benchmarks/soak.py --loadgen build/loadgen [--minutes 20]

Exits with 1 when memory moves by more than 5 % after the first five minutes,
for which what has changed is kept for watches to resume from.
"""

import argparse
import pathlib
import statistics
import subprocess
import tempfile
import time

import processes
import servers

FLAT = 0.05
WARM_SECONDS = 300.0
SAMPLE_SECONDS = 5.0


def sample(pid: int, load: "subprocess.Popen[str]") -> list[tuple[float, float]]:
    """(seconds, megabytes) while the load runs."""
    begun = time.monotonic()
    samples = []
    while load.poll() is None:
        samples.append((time.monotonic() - begun, processes.resident(pid)))
        time.sleep(SAMPLE_SECONDS)
    return samples


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loadgen", required=True)
    parser.add_argument("--minutes", type=float, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, servers.ours(pathlib.Path(name)) as server:
        pid = server.process.pid
        load = [args.loadgen, "-server", server.url, "-token", servers.TOKEN, "-pid", str(pid)]
        load = servers.pinned(servers.CLIENT, load)
        subprocess.run([*load, "setup", "create"], check=True, capture_output=True)
        load += ["-seconds", str(args.minutes * 60), "mixed"]
        with subprocess.Popen(load, stdout=subprocess.PIPE, text=True) as running:
            samples = sample(pid, running)
            said = running.stdout.read() if running.stdout else ""
    warm = [megabytes for seconds, megabytes in samples if seconds > WARM_SECONDS]
    for minute in range(int(samples[-1][0] // 60) + 1):
        these = [mb for seconds, mb in samples if seconds // 60 == minute]
        print(f"minute {minute:2}: {min(these):6.1f} to {max(these):6.1f} MB")
    spread = (max(warm) - min(warm)) / statistics.mean(warm)
    print(said.strip())
    print(f"after {WARM_SECONDS:.0f} s memory moved by {spread:.1%} of {statistics.mean(warm):.0f} MB")
    return int(spread > FLAT or " 0 err" not in said)


if __name__ == "__main__":
    raise SystemExit(main())
