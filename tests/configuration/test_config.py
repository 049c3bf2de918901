"""The table of flags, and the sections that hold their values."""

from dataclasses import fields

from pilothouse.configuration.config import Config, all_flags, configuration, settings
from pilothouse.configuration.sections.authentication import AuthenticationOptions
from pilothouse.configuration.sections.section import GROUPS, Section


def sections(section: Section) -> list[Section]:
    inner = [getattr(section, one.name) for one in fields(section)]
    return [section, *(found for one in inner if isinstance(one, Section) for found in sections(one))]


def test_each_flag_is_a_field_of_one_section() -> None:
    names = [one.name for section in sections(Config()) for one in fields(section) if one.metadata]
    assert len(names) == len(set(names))
    assert {name.rstrip("_").replace("_", "-") for name in names} == settings().keys()
    assert [*settings(), "help"] == [flag.name for flag in all_flags()]


def test_flags_stand_in_their_groups() -> None:
    groups = [one.flag.group for one in settings().values()]
    assert groups == sorted(groups, key=GROUPS.index) and set(groups) == set(GROUPS)


def test_every_value_comes_to_its_field() -> None:
    values = {name: object() for name in settings()}
    config = configuration(Config, values, frozenset(values))
    assert {name: config.value(name) for name in values} == values
    default = Config()
    assert all(default.value(one.flag.name) == one.flag.default for one in settings().values())


def test_a_section_knows_the_flags_that_were_given_of_it() -> None:
    given = frozenset(("oidc-client-id", "max-token-bytes", "secure-port"))
    config = configuration(Config, {"oidc-client-id": "a", "secure-port": 1}, given)
    assert config.given == given and config.serving.given == {"secure-port"}
    assert config.authentication.given == {"oidc-client-id", "max-token-bytes"}
    assert config.authentication.oidc.given == {"oidc-client-id"} and not config.store.given


def test_a_section_can_be_made_alone() -> None:
    options = configuration(AuthenticationOptions, {"oidc-client-id": "a"}, frozenset(("v",)))
    assert options.oidc.oidc_client_id == "a" and options.given == frozenset()


def test_settings_of_sections_that_exclude_each_other() -> None:
    def faults(**values: object) -> list[str]:
        flags = {name.replace("_", "-"): value for name, value in values.items()}
        return list(configuration(Config, flags, frozenset(flags)).faults())

    off = {"runtime_config": {"api/all": "false"}}
    assert faults() == faults(**off, enable_priority_and_fairness=False) == []
    assert faults(**off) == [
        "--runtime-config=api/all=false conflicts with --enable-priority-and-fairness=true"
    ]
    ga = {"api/ga": "true", "api/all": "false"}
    assert faults(runtime_config=ga) == [], "the more special one counts"
    assert faults(workers=2) == ["--workers=2 needs --etcd-servers: the sqlite store is for one process"]
    assert faults(workers=2, etcd_servers=("http://a:1",)) == []
    assert faults(history=True, etcd_servers=("http://a:1",)) == []
    assert faults(workers=2, etcd_servers=("http://a:1",), history=True) == [
        "--workers=2 conflicts with --history: its file is for one process"
    ]
