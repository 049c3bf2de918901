"""Cron jobs make a job at each time of their schedules."""

from typing import Any

BATCH = "/apis/batch/v1"
CONTROLLERS = ("cronjob-controller", "job-controller")
HOUR = 3600
POD = {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}


def cron_job(**spec: Any) -> Any:
    template = {"metadata": {"labels": {"from": "cron"}}, "spec": {"template": {"spec": POD}}}
    return {"metadata": {"name": "c"}, "spec": {"schedule": "0 * * * *", "jobTemplate": template, **spec}}


async def to_the_hour(cluster: Any) -> int:
    """Move the clock just behind the next full hour; the minute of the hour since 1970."""
    now = cluster.clock.time()
    await cluster.advance(HOUR - now % HOUR + 0.5)
    return int(cluster.clock.time()) // HOUR * 60


async def jobs(cluster: Any) -> dict[str, Any]:
    await cluster.settle()
    return {one["metadata"]["name"]: one for one in (await cluster.get("jobs", BATCH))["items"]}


async def status(cluster: Any) -> Any:
    await cluster.settle()
    return (await cluster.get("cronjobs/c", BATCH))["status"]


async def finish(cluster: Any, code: int = 0) -> None:
    """End all pods that run."""
    for pod in await cluster.pods():
        if pod["status"]["phase"] == "Running":
            await cluster.kubelet.finish(pod["metadata"]["name"], code)
    await cluster.settle()


async def test_a_job_at_each_time(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("cronjobs", cron_job(timeZone="Asia/Tokyo"), BATCH)
    assert await jobs(cluster) == {}
    minute = await to_the_hour(cluster)
    [(name, made)] = (await jobs(cluster)).items()
    assert name == f"c-{minute}"
    owner = made["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["controller"], made["metadata"]["labels"]["from"]) == (
        "CronJob",
        True,
        "cron",
    )
    when = made["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert when.endswith(":00:00+09:00")
    found = await status(cluster)
    assert [one["name"] for one in found["active"]] == [name]
    assert found["lastScheduleTime"].endswith(":00:00Z")
    await finish(cluster)
    found = await status(cluster)
    assert "active" not in found and found["lastSuccessfulTime"]
    assert ("SawCompletedJob", f"Saw completed job: {name}, condition: Complete") in await cluster.events(
        "CronJob"
    )
    await to_the_hour(cluster)
    assert len(await jobs(cluster)) == 2


async def test_times_before_the_cron_job_do_not_count(cluster: Any) -> None:
    """The clock may be far ahead of the server's, which stamps objects."""
    await cluster.run(*CONTROLLERS)
    await cluster.advance(5 * HOUR)
    await cluster.post("cronjobs", cron_job(), BATCH)
    assert await jobs(cluster) == {}
    await to_the_hour(cluster)
    assert len(await jobs(cluster)) == 1


async def test_a_restart_finds_what_was_missed(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("cronjobs", cron_job(), BATCH)
    await cluster.running.pop(CONTROLLERS[0]).close()
    await to_the_hour(cluster)
    await cluster.run(CONTROLLERS[0])
    assert len(await jobs(cluster)) == 1


async def test_what_is_done_while_a_job_runs(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("cronjobs", cron_job(), BATCH)
    await to_the_hour(cluster)
    await to_the_hour(cluster)
    assert len(await jobs(cluster)) == 2
    await cluster.patch("cronjobs/c", {"spec": {"concurrencyPolicy": "Forbid"}}, BATCH)
    await to_the_hour(cluster)
    assert len(await jobs(cluster)) == 2
    told = [reason for reason, _ in await cluster.events("CronJob")]
    assert "JobAlreadyActive" in told
    await cluster.patch("cronjobs/c", {"spec": {"concurrencyPolicy": "Replace"}}, BATCH)
    await to_the_hour(cluster)
    assert len(await jobs(cluster)) == 1
    assert len((await status(cluster))["active"]) == 1


async def test_a_suspended_schedule_and_a_deadline(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("cronjobs", cron_job(suspend=True, startingDeadlineSeconds=100), BATCH)
    await to_the_hour(cluster)
    assert await jobs(cluster) == {}
    await cluster.advance(200)
    await cluster.patch("cronjobs/c", {"spec": {"suspend": False}}, BATCH)
    assert await jobs(cluster) == {}, "the time has passed too long ago"
    await to_the_hour(cluster)
    assert len(await jobs(cluster)) == 1


async def test_old_jobs_are_deleted(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS, garbage=True)
    await cluster.post("cronjobs", cron_job(successfulJobsHistoryLimit=2, failedJobsHistoryLimit=0), BATCH)
    names = []
    for _ in range(3):
        names.append(f"c-{await to_the_hour(cluster)}")
        await finish(cluster)
    assert sorted(await jobs(cluster)) == names[1:]
    await cluster.patch("cronjobs/c", {"spec": {"jobTemplate": {"spec": {"backoffLimit": 0}}}}, BATCH)
    failed = f"c-{await to_the_hour(cluster)}"
    assert failed in await jobs(cluster)
    await finish(cluster, 1)
    assert sorted(await jobs(cluster)) == names[1:]
    assert ("SuccessfulDelete", f"Deleted job {failed}") in await cluster.events("CronJob")


async def test_many_missed_times_make_one_job(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("cronjobs", cron_job(), BATCH)
    await cluster.advance(200 * HOUR)
    assert len(await jobs(cluster)) == 1
    told = dict(await cluster.events("CronJob"))
    assert told["TooManyMissedTimes"].startswith("too many missed start times: ")


async def test_a_time_that_never_comes(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("cronjobs", cron_job(schedule="0 0 31 2 *"), BATCH)
    await status(cluster)
    why = "time difference between two schedules is less than 1 second"
    note = f"invalid schedule: 0 0 31 2 * : {why}"
    assert ("InvalidSchedule", note) in await cluster.events("CronJob")
