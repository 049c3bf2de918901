"""Hooks of batch: the generated selector of a job, warnings, the selectable field."""

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.registry.groups import batch
from pilothouse.registry.strategy import WriteContext

JOBS = {r.plural: r for r in batch.RESOURCES}["jobs"]
CONTEXT = WriteContext(User("admin"), "create", JOBS, namespace="default")


def test_a_job_selects_its_pods_by_its_uid() -> None:
    job: Object = {
        "metadata": {"name": "j", "uid": "u"},
        "spec": {"template": {"metadata": {"labels": {"a": "b"}}}},
    }
    assert batch.JOB.prepare_create is not None
    batch.JOB.prepare_create(CONTEXT, job)
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}
    assert job["spec"]["template"]["metadata"]["labels"] == {
        "a": "b",
        "job-name": "j",
        "batch.kubernetes.io/job-name": "j",
        "controller-uid": "u",
        "batch.kubernetes.io/controller-uid": "u",
    }


def test_a_manual_selector_is_left_alone() -> None:
    job: Object = {"metadata": {"name": "j", "uid": "u"}, "spec": {"manualSelector": True}}
    assert batch.JOB.prepare_create is not None
    batch.JOB.prepare_create(CONTEXT, job)
    assert "selector" not in job["spec"]


def test_successful_pods_can_be_selected_by() -> None:
    read = JOBS.selectable["status.successful"]
    assert callable(read) and read({"status": {"succeeded": 2}}) == "2" and read({}) == "0"


def test_zones_in_schedules_warn() -> None:
    assert batch.CRON_JOB.warnings is not None
    cron: Object = {"metadata": {"name": "c"}, "spec": {"schedule": "TZ=UTC * * * * *"}}
    assert any("CRON_TZ" in w for w in batch.CRON_JOB.warnings(CONTEXT, cron, None))


def test_names_that_are_no_labels_warn() -> None:
    assert batch.CRON_JOB.warnings is not None and batch.JOB.warnings is not None
    named: Object = {"metadata": {"name": "a.b"}, "spec": {}}
    wanted = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior"
    for strategy in (batch.CRON_JOB, batch.JOB):
        (text,) = strategy.warnings(CONTEXT, named, None) if strategy.warnings else []
        assert text == f"{wanted}; a DNS label is recommended: [must not contain dots]"


def test_jobs_with_very_many_indexes_warn() -> None:
    assert batch.CRON_JOB.warnings is not None
    job = {"completionMode": "Indexed", "completions": 100001, "parallelism": 10001}
    cron: Object = {"metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": job}}}
    (text,) = batch.CRON_JOB.warnings(CONTEXT, cron, None)
    assert text.startswith("spec.jobTemplate.spec: In Indexed Jobs") and ", Kubernetes might not be" in text
