import pytest

from pilothouse.registry.versions import stage_of, version_key


def test_kube_versions_sort_by_stage_and_number() -> None:
    ordered = ["zoo", "foo1", "v1alpha1", "v11alpha2", "v3beta1", "v10beta3", "v1", "v2", "v10"]
    assert sorted(ordered, key=version_key) == ordered


@pytest.mark.parametrize(
    ("version", "stage"),
    [("v1", "ga"), ("v2beta1", "beta"), ("v1alpha12", "alpha"), ("v1x", ""), ("one", "")],
)
def test_stages(version: str, stage: str) -> None:
    assert stage_of(version) == stage
