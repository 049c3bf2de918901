import pytest

from pilothouse.registry.catalog import default_catalog
from pilothouse.registry.runtime_config import RuntimeConfigError


@pytest.mark.parametrize(
    ("settings", "gone", "kept"),
    [
        ({"batch/v1": "false"}, ("batch", "jobs"), ("apps", "deployments")),
        ({"batch/v1/jobs": "false"}, ("batch", "jobs"), ("batch", "cronjobs")),
        ({"api/all": "false", "apps/v1": "true"}, ("batch", "jobs"), ("apps", "deployments")),
        ({"api/all": "false", "api/v1": ""}, ("batch", "jobs"), ("", "pods")),
        ({"api/v1/pods": "false", "api/v1": ""}, ("", "pods"), ("", "nodes")),
        ({"api/ga": "false", "apps/v1/deployments": ""}, ("apps", "daemonsets"), ("apps", "deployments")),
    ],
)
def test_runtime_config(settings: dict[str, str], gone: tuple[str, str], kept: tuple[str, str]) -> None:
    catalog = default_catalog(settings)
    assert catalog.get(gone[0], "v1", gone[1]) is None
    assert catalog.get(kept[0], "v1", kept[1]) is not None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("api/all", "maybe", "invalid value api/all=maybe"),
        ("apps", "true", "runtime-config invalid key apps"),
        ("apps/v9", "true", "group version apps/v9 that has not been registered"),
        ("nope/v1", "true", "unknown api groups nope"),
        ("apps/v1", "x", 'invalid value of apps/v1: x, err: strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
def test_runtime_config_mistakes(key: str, value: str, message: str) -> None:
    with pytest.raises(RuntimeConfigError, match=message.replace("(", r"\(")):
        default_catalog({key: value})
