"""ClusterContexts that lead to logical clusters, in kubeconfigs that have others."""

import pathlib
from typing import Any

import pytest
import yaml

from pilothouse.commands.cluster_contexts import ClusterContexts, Origin
from pilothouse.outbound.http import Trust
from pilothouse.outbound.kubeconfig import Kubeconfig, read_kubeconfig

FOUND = Kubeconfig("https://host:1/clusters/a", [], Trust(ca=b"CA", server_name="kubernetes"))
ORIGIN = Origin("a", "home")
USER = {"token": "secret"}


def document(**members: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "here", "cluster": {"server": "https://host:1", "certificate-authority": "ca.crt"}}
        ],
        "users": [{"name": "me", "user": {"client-certificate": "me.crt", "client-key": "/keys/me.key"}}],
        "contexts": [{"name": "home", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "home",
        **members,
    }


def written(path: pathlib.Path, **members: Any) -> ClusterContexts:
    path.write_text(yaml.safe_dump(document(**members)))
    return ClusterContexts.read(path)


def test_a_context_tells_where_it_is_from(tmp_path: pathlib.Path) -> None:
    contexts = written(tmp_path / "config", preferences={"colors": True})
    assert (contexts.current, contexts.root, contexts.origin) == ("home", "home", None)
    contexts.put("a", ORIGIN, FOUND, USER)
    contexts.switch("a")
    contexts.save()
    assert contexts.path.stat().st_mode & 0o777 == 0o600
    again = ClusterContexts.read(contexts.path)
    assert (again.current, again.root, again.origin) == ("a", "home", ORIGIN)
    assert read_kubeconfig(contexts.path) == FOUND._replace(headers=[("Authorization", "Bearer secret")])
    kept = yaml.safe_load(contexts.path.read_text())
    assert kept["preferences"] == {"colors": True}, "what others have written stays"
    assert {name: kept[name][:1] for name in ("clusters", "users", "contexts")} == {
        name: document()[name] for name in ("clusters", "users", "contexts")
    }


def test_contexts_of_a_cluster_are_forgotten(tmp_path: pathlib.Path) -> None:
    """Contexts that lead elsewhere stay, and what other contexts use."""
    contexts = written(tmp_path / "config")
    contexts.put("a", ORIGIN, FOUND, USER)
    contexts.put("b", Origin("b", "home"), FOUND._replace(server="https://host:1/clusters/b"), USER)
    contexts.put("elsewhere", Origin("a", "gone"), FOUND._replace(server="https://x:2/clusters/a"), USER)
    contexts.put("outside", ORIGIN, FOUND._replace(server="https://balancer/clusters/a"), USER)
    contexts.switch("a")
    assert contexts.forget("a", "https://host:1") == ["a", "outside"]
    assert contexts.current == "home"
    kept = yaml.safe_load(contexts.text())
    assert [one["name"] for one in kept["contexts"]] == ["home", "b", "elsewhere"]
    assert [one["name"] for one in kept["clusters"]] == ["here", "b", "elsewhere"]
    assert [one["name"] for one in kept["users"]] == ["me", "b", "elsewhere"]
    assert contexts.forget("a", "https://host:1") == []


def test_what_another_context_uses_stays(tmp_path: pathlib.Path) -> None:
    contexts = written(tmp_path / "config")
    contexts.put("a", ORIGIN, FOUND, USER)
    document = yaml.safe_load(contexts.text())
    document["contexts"].append({"name": "mine", "context": {"cluster": "a", "user": "me"}})
    contexts = ClusterContexts(contexts.path, document)
    assert contexts.forget("a", "https://host:1") == ["a"]
    kept = yaml.safe_load(contexts.text())
    assert [one["name"] for one in kept["clusters"]] == ["here", "a"]
    assert [one["name"] for one in kept["users"]] == ["me"]


def test_a_context_is_changed_in_its_place(tmp_path: pathlib.Path) -> None:
    contexts = written(tmp_path / "config")
    contexts.put("a", ORIGIN, FOUND, USER)
    contexts.put("b", Origin("b", "home"), FOUND, USER)
    contexts.put("a", ORIGIN, FOUND._replace(server="https://other:2"), {"token": "new"})
    kept = yaml.safe_load(contexts.text())
    assert [one["name"] for one in kept["users"]] == ["me", "a", "b"]
    assert kept["users"][1]["user"] == {"token": "new"}
    assert contexts.server("a") == "https://other:2"


@pytest.mark.parametrize("kind", ["context", "cluster", "user"])
def test_what_others_have_made_is_not_overwritten(tmp_path: pathlib.Path, kind: str) -> None:
    entries = [*document()[f"{kind}s"], {"name": "a", kind: {"cluster": "here", "user": "me"}}]
    contexts = written(tmp_path / "config", **{f"{kind}s": entries})
    before = contexts.text()
    with pytest.raises(ValueError, match=f"config has a {kind} a already.*give another name with --context"):
        contexts.put("a", ORIGIN, FOUND, USER)
    assert contexts.text() == before


def test_a_context_of_another_server_is_not_overwritten(tmp_path: pathlib.Path) -> None:
    contexts = written(tmp_path / "config")
    contexts.put("a", Origin("a", "elsewhere"), FOUND, USER)
    with pytest.raises(ValueError, match="which leads to https://host:1/clusters/a: give another name"):
        contexts.put("a", ORIGIN, FOUND, USER)


def test_the_way_back_can_be_lost(tmp_path: pathlib.Path) -> None:
    contexts = written(tmp_path / "config", contexts=[])
    contexts.put("a", ORIGIN, FOUND, USER)
    contexts.switch("a")
    with pytest.raises(ValueError, match="context a was made from the context home, which is not there"):
        _ = contexts.root


def test_adopt_takes_a_context_with_the_files_that_it_names(tmp_path: pathlib.Path) -> None:
    (tmp_path / "other").mkdir()
    other = written(tmp_path / "other" / "config")
    mine = ClusterContexts.read(tmp_path / "mine", missing=True)
    mine.adopt(other, "home")
    assert mine.current == "home", "the first context of a file is the current one"
    mine.save()
    found = yaml.safe_load((tmp_path / "mine").read_text())
    assert found["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "other" / "ca.crt")
    assert found["users"][0]["user"] == {
        "client-certificate": str(tmp_path / "other" / "me.crt"),
        "client-key": "/keys/me.key",
    }
    second = written(tmp_path / "second", **{"current-context": "x"})
    second.adopt(other, "home")
    assert second.current == "x"


def test_adopt_refuses_a_context_that_leads_elsewhere(tmp_path: pathlib.Path) -> None:
    other = written(tmp_path / "other")
    mine = written(tmp_path / "mine", clusters=[{"name": "here", "cluster": {"server": "https://far:1"}}])
    with pytest.raises(ValueError, match="leads to https://far:1 and not to https://host:1"):
        mine.adopt(other, "home")


@pytest.mark.parametrize("text", ["- a", "clusters: 1", "contexts: [1]", "a: [", "just text"])
def test_a_file_that_is_no_kubeconfig(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(ValueError, match=r"invalid configuration: .*config: it is no "):
        ClusterContexts.read(tmp_path / "config")


def test_a_file_that_is_not_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError):
        ClusterContexts.read(tmp_path / "config")
    assert ClusterContexts.read(tmp_path / "config", missing=True).current == ""
