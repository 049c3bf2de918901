from pilothouse.configuration import options


def test_flags_of_audit_back_ends_that_are_off_are_not_checked() -> None:
    options.parse(["--audit-log-mode=fast", "--audit-log-maxage=-1", "--audit-webhook-version=x"])


def test_both_flags_of_the_audit_backoff() -> None:
    assert options.parse([]).audit.backoff == 10.0
    assert options.parse(["--audit-webhook-initial-backoff=2s"]).audit.backoff == 2.0
    assert options.parse(["--audit-webhook-batch-initial-backoff=3s"]).audit.backoff == 3.0
