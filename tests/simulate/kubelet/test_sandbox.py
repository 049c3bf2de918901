"""Stages of a file, and what annotations say beside them."""

import pathlib

from simulate.simulated import Simulated, container, holds, on_node, said

from pilothouse.simulate.clock import Clock

FILE = """
apiVersion: simulate.pilothouse.dev/v1alpha1
kind: Simulation
nodes: [{}]
stages:
- readyAfter: 5s
- selector: {matchLabels: {app: flaky}}
  container: c
  exitCode: [1, 0]
- selector: {matchLabels: {app: slow}}
  startAfter: 10s
  readyAfter: 0s
"""


async def test_stages_say_what_containers_do_the_later_ones_and_annotations_count_more(
    clock: Clock, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "simulation.yaml"
    file.write_text(FILE)
    async with Simulated(clock, str(file), only="nodes,kubelet") as rig:
        await rig.create("plain", spec=on_node())
        await rig.create("slow", spec=on_node(), labels={"app": "slow"})
        await rig.create("said", spec=on_node(), labels={"app": "slow"}, annotations=said(start_after="0"))
        spec = on_node(restartPolicy="OnFailure")
        await rig.create("flaky", spec=spec, labels={"app": "flaky"})
        assert not holds({"status": await rig.status("plain")}, "Ready")
        assert (await rig.status("slow"))["phase"] == "Pending"
        assert holds(await rig.pod("said"), "Ready")
        flaky = await rig.pod("flaky")
        assert container(flaky)["restartCount"] == 1 and flaky["status"]["phase"] == "Succeeded"
        await rig.pass_time(5)
        assert holds(await rig.pod("plain"), "Ready")
        await rig.pass_time(5)
        assert holds(await rig.pod("slow"), "Ready")
