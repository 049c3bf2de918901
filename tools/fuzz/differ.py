"""Plays grown scenarios on a kube-apiserver and on a fresh server of ours,
and tells how often the answers differ.

`make differ REFERENCE=https://host:port TOKEN=...` runs it; TOKEN is one of an administrator of the reference
(group system:masters). Both servers should have no controllers
beside the built-in ones and the same ranges of Services.
"""

import argparse
import json
import random
import re
import secrets
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fuzz.play import Answer, Normaliser, Player
from fuzz.scenario import Scenario, Step
from fuzz.scenario_areas import AREAS
from fuzz.scenario_runs import scenarios

from pilothouse.testing.server import Subprocess

FLAGS = (
    "--service-cluster-ip-range=10.0.0.0/16",
    "--authorization-mode=Node,RBAC",
    "--allow-privileged",
    "--controllers=-*",
)
"""The flags of our server: those of a bare kube-apiserver of a test cluster."""

REVIEW = Step(
    "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", b"{}", {"content-type": "application/json"}
)

OF_A_BUILD = {
    "paths": "the path / lists health checks and hooks by the names of a server's own parts",
    **dict.fromkeys(
        ("buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "platform"),
        "/version tells how a server was built",
    ),
}
"""Members at the top of an answer that no rule can make equal, with the reason."""
SCHEME = re.compile(r'(scheme \\?")k8s\.io/[\w-]+/')
"""Schemes have the name of the file that makes them:
with or without the module, which depends on the Go build."""
FORK = "openshift-service-ca.crt"
"""A config map that kube-apiservers of OpenShift project
into every pod beside the three sources of upstream."""

SHOWN = 300
"""Characters of a step that are shown."""


@dataclass
class Report:
    """How many steps of each area were compared and how many differ, with examples by what is different."""

    compared: Counter[str] = field(default_factory=Counter)
    different: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        return self.different.total() / max(1, self.compared.total())

    def add(self, area: str, found: Sequence[str], example: str) -> None:
        self.compared[area] += 1
        self.different[area] += bool(found)
        for what in found:
            self.times[what] += 1
            self.examples.setdefault(what, example)

    def lines(self, most: int) -> Iterator[str]:
        yield f"{'area':12} {'steps':>8} {'differ':>8} {'share':>8}"
        for area in (*sorted(self.compared), "all"):
            every = area == "all"
            steps = self.compared.total() if every else self.compared[area]
            wrong = self.different.total() if every else self.different[area]
            yield f"{area:12} {steps:8} {wrong:8} {wrong / max(1, steps):8.2%}"
        for what, count in self.times.most_common(most):
            yield f"\n{count} x {what}"
            yield self.examples[what]


def differences(want: Any, got: Any, path: str = "") -> Iterator[str]:
    """The places where two normalised values differ, as `path: one, other`; items of lists have no number."""
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted({**want, **got}):
            if key not in want or key not in got:
                yield f"{path}.{key}: {'missing' if key in want else 'not wanted'}"
            else:
                yield from differences(want[key], got[key], f"{path}.{key}")
    elif isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            yield f"{path}: {len(want)} items wanted, {len(got)} found"
        for one, other in zip(want, got, strict=False):
            yield from differences(one, other, f"{path}[]")
    elif want != got or type(want) is not type(got):
        yield f"{path}: {_short(want)} wanted, {_short(got)} found"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "..."


def comparable(answer: Answer) -> Answer:
    """The answer without what follows from how its server was built,
    and from the random order of Go's maps."""
    body = answer.body
    if isinstance(body, dict):
        body = _sorted_causes({name: value for name, value in body.items() if name not in OF_A_BUILD})
    return Answer(answer.status, answer.headers, _of_upstream(body))


def _sorted_causes(body: dict[str, Any]) -> dict[str, Any]:
    """A Status with its causes in order; its message, which repeats them, ends before them."""
    details = body.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    if not isinstance(causes, list) or len(causes) < 2:
        return body
    message = str(body.get("message")).partition("[")[0]
    return {**body, "message": message, "details": {**details, "causes": sorted(causes, key=json.dumps)}}


def _of_upstream(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _of_upstream(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_of_upstream(item) for item in value if not _of_fork(item)]
    return SCHEME.sub(r"\1", value) if isinstance(value, str) else value


def _of_fork(source: Any) -> bool:
    return isinstance(source, dict) and (source.get("configMap") or {}).get("name") == FORK


def compared(want: Answer, got: Answer) -> list[str]:
    """The differences between two answers; of different statuses nothing else is told."""
    if want.status != got.status:
        return [f"status: {want.status} wanted, {got.status} found"]
    return [
        f"status {want.status}{line}" for line in differences(vars(comparable(want)), vars(comparable(got)))
    ]


def play_both(scenario: Scenario, reference: Player, ours: Player) -> Iterator[tuple[Step, Answer, Answer]]:
    """The steps with both answers, normalised;
    it ends after one that only one of the servers has carried out."""
    normalisers = Normaliser(scenario.namespace), Normaliser(scenario.namespace)
    for (step, want), (_, got) in zip(reference.play(scenario), ours.play(scenario), strict=False):
        wanted, found = normalisers[0].answer(want), normalisers[1].answer(got)
        yield step, wanted, found
        if (want.status < 300) != (got.status < 300):
            return


def duel(reference: Player, ours: Player, played: Iterable[Scenario], steps: int, seconds: float) -> Report:
    """Compare scenarios until so many steps, or the time, are over."""
    report, ends = Report(), time.monotonic() + seconds
    for scenario in played:
        if time.monotonic() > ends or report.compared.total() >= steps:
            break
        past: list[str] = []
        for step, want, got in play_both(scenario, reference, ours):
            past.append(f"    {step}"[:SHOWN])
            report.add(scenario.area, compared(want, got), "\n".join([f"  {scenario.label}", *past]))
    return report


def trusting(ca: str = "") -> ssl.SSLContext:
    """TLS to a server with a CA of its own; without `ca` it may be anybody."""
    context = ssl.create_default_context(cafile=ca or None)
    if not ca:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def known_as(server: Player) -> str:
    """The user whom a server recognises, as a line of a token file without the token."""
    answer = server.send(REVIEW)
    if answer.status != 201:
        raise SystemExit(f"the reference does not say who asks: {answer.status} {answer.body}")
    user = answer.body["status"]["userInfo"]
    groups = [group for group in user.get("groups", ()) if group != "system:authenticated"]
    return f'{user["username"]},{user.get("uid", "")},"{",".join(groups)}"'


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="differ", description=__doc__)
    parser.add_argument("reference", help="URL of a kube-apiserver")
    parser.add_argument("--token", default="", help="a token of an administrator of it")
    parser.add_argument(
        "--ca", default="", help="file with its CA; without it its certificate is not checked"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--areas", default=",".join(AREAS))
    parser.add_argument("--most", type=int, default=40, help="differences that are shown")
    parser.add_argument("--flag", action="append", default=[], help="a further flag of our server")
    parser.add_argument("--share", type=float, default=0.005, help="of steps that may differ")
    return parser.parse_args(arguments)


def differ_from(arguments: Sequence[str] | None = None) -> tuple[int, str]:
    """Play, and report: 1 when more steps differ than may, and the report's text."""
    given = _arguments(arguments)
    reference, token = Player(given.reference, trusting(given.ca), given.token), secrets.token_hex()
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as tokens:
        tokens.write(f"{token},{known_as(reference)}\n")
        tokens.flush()
        with Subprocess([*FLAGS, f"--token-auth-file={tokens.name}", *given.flag]) as server:
            ours = Player(server.url, trusting(str(server.ca_file)), token)
            run = f"{random.randrange(36**3):x}-"
            played = scenarios(given.seed, given.areas.split(","), run)
            report = duel(reference, ours, played, given.steps, given.seconds)
    reference.close()
    ours.close()
    lines = [f"--seed {given.seed}", *report.lines(given.most)]
    return int(report.share > given.share), "\n".join(lines)


def main() -> int:
    code, report = differ_from()
    print(report)
    return code


if __name__ == "__main__":
    sys.exit(main())
