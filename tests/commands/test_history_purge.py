"""`pilothouse history purge`: forgets the changes of an object in the file of a data directory."""

import base64
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import pytest

from pilothouse import cli
from pilothouse.history._packing import unpack
from pilothouse.history.file import STEP, ChangeKind, HistoryFile, RecordedChange, connect
from pilothouse.registry.catalog import Catalog, built_in
from pilothouse.registry.encoding import resources_by_key
from pilothouse.storage.encryption import config as encryption_config
from pilothouse.storage.encryption.backend import Encryption

WEB, MAP, NODE = "/registry/deployments/shop/web", "/registry/configmaps/shop/a", "/registry/minions/n1"
WIDGET, GADGET = "/registry/example.com/widgets/shop/w", "/registry/example.com/gadgets/g"
KEYS = (WEB, MAP, WEB, NODE, WIDGET, GADGET)


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    """A data directory with a change of each key."""
    file = HistoryFile(tmp_path)
    file.open()
    changes = [
        RecordedChange(number, key, ChangeKind.DELETED, number * 1000, b"[]", "", b"{}")
        for number, key in enumerate(KEYS, 1)
    ]
    file.record(changes, len(KEYS))
    file.close()
    return tmp_path


def kept(directory: pathlib.Path) -> list[str]:
    """The keys of all changes that are kept."""
    db = connect(directory / "history.db", read_only=True)
    try:
        query = "SELECT o.key FROM changes c JOIN objects o ON o.id = c.object ORDER BY c.id"
        return [key for (key,) in db.execute(query)]
    finally:
        db.close()


def purge(directory: pathlib.Path, *words: str) -> int:
    return cli.main(["history", "purge", *words, f"--data-dir={directory}"])


def test_without_yes_it_says_what_it_would_forget(
    directory: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert purge(directory, "deploy/web", "-n", "shop") == 0
    assert capsys.readouterr().out == (
        f"{WEB}: 2 changes, from 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:03.000Z\n"
        "Nothing has been forgotten: repeat the command with --yes.\n"
    )
    assert kept(directory) == list(KEYS)


def test_it_is_told_as_a_document(directory: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: str) -> Any:
        assert purge(directory, "deploy/web", "-n", "shop", "-o", "json", *words) == 0
        return json.loads(capsys.readouterr().out)

    times = {"first": "1970-01-01T00:00:01.000Z", "last": "1970-01-01T00:00:03.000Z"}
    items = [{"key": WEB, "changes": 2, **times}]
    assert told("--field=.data.a") == {"items": items, "dryRun": True, "field": ".data.a", "changes": 0}
    assert told() == {"items": items, "dryRun": True} and kept(directory) == list(KEYS)
    assert told("--yes") == {"items": items, "dryRun": False} and WEB not in kept(directory)


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["deploy/web", "-n", "shop"], WEB),
        (["deployment.apps", "web", "--namespace=shop"], WEB),
        (["ConfigMap/a", "-n", "shop"], MAP),
        (["node/n1"], NODE),
        (["widgets.example.com/w", "-n", "shop"], WIDGET),
        (["gadgets.example.com/g"], GADGET),
    ],
)
def test_with_yes_it_forgets_one_object(
    directory: pathlib.Path, words: Sequence[str], gone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert purge(directory, *words, "--yes") == 0
    assert kept(directory) == [key for key in KEYS if key != gone]
    count = KEYS.count(gone)
    assert f"\n{count} change{'s' if count > 1 else ''} forgotten." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["deploy/web"], 1, "history.db has no change of /registry/deployments/default/web"),
        (["widgets.example.com/no"], 1, "widgets/default/no or /registry/example.com/widgets/no"),
        (
            ["widget/w"],
            2,
            'there is no built-in resource "widget"; a custom one is called as in widgets.example',
        ),
        (["deploymens/w"], 2, "Did you mean this?\n\tdeployments\n"),
        (["deploy"], 2, '"pilothouse history purge" takes KIND/NAME'),
        ([], 2, '"pilothouse history purge" takes KIND/NAME'),
        (["deploy/a", "b"], 2, '"pilothouse history purge" takes KIND/NAME'),
    ],
)
def test_what_cannot_be_forgotten(
    directory: pathlib.Path, words: Sequence[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert purge(directory, *words, "--yes") == status
    assert said in capsys.readouterr().err
    assert kept(directory) == list(KEYS)


def test_files_that_are_not_there_or_no_history(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert purge(tmp_path, "deploy/web", "--yes") == 1
    assert "history.db does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "history.db").write_bytes(b"x" * 5000)
    assert purge(tmp_path, "deploy/web", "--yes") == 1
    assert "file is not a database" in capsys.readouterr().err


def test_one_field_is_forgotten(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the copy that `kubectl apply` keeps of it; no byte of its values is left."""
    applied = '{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"hunter-2"}}}'
    values = [
        (ChangeKind.CHANGED, b'[["=",["data","password"],"hunter-1","hunter-2"],["=",["data","a"],"1","2"]]'),
        (ChangeKind.CHANGED, b'[["=",["data","a"],"2","3"]]'),
        (ChangeKind.REPLACED, applied.encode()),
        (ChangeKind.DELETED, b'{"data":{"password":"hunter-3","a":"3"}}'),
    ]
    file = HistoryFile(tmp_path)
    file.open()
    changes = [
        RecordedChange(number, MAP, kind, number * 1000, b"[]", "", value)
        for number, (kind, value) in enumerate(values, 1)
    ]
    file.record(
        [*changes, RecordedChange(9, WEB, ChangeKind.DELETED, 1, b"[]", "", b'{"data":{"password":"w"}}')], 9
    )

    def purge_field(*words: str) -> str:
        assert purge(tmp_path, "cm/a", "-n", "shop", "--field=.data.password", *words) == 0
        return capsys.readouterr().out.splitlines()[-1]

    assert purge_field() == (
        "3 changes with a value of .data.password. Nothing has been forgotten: repeat the command with --yes."
    )
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"hunter" in held
    assert purge_field("--yes").startswith(".data.password forgotten in 3 changes. ")
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"hunter" not in held
    left = [unpack(value) for step in file.values(MAP) for value in step]
    assert b'["=",["data","a"],"1","2"]' in left[0] and left[1] == values[1][1]
    assert purge_field("--yes").startswith(".data.password forgotten in 0 changes. ")
    assert kept(tmp_path) == [*[MAP] * 4, WEB]
    rows = file._db.execute("SELECT value FROM changes WHERE id = 9").fetchall()
    assert rows == [(b'\0{"data":{"password":"w"}}',)]
    file.close()


def encryption(path: pathlib.Path, name: str, provider: str = "aesgcm") -> str:
    """The flag that names a configuration which encrypts config maps."""
    keys = {"keys": [{"name": name, "secret": base64.b64encode(name.encode() * 16).decode()}]}
    kms = {"apiVersion": "v2", "name": name, "endpoint": f"unix://{path.parent}/none.sock", "timeout": "1s"}
    config = {
        "kind": "EncryptionConfiguration",
        "apiVersion": "apiserver.config.k8s.io/v1",
        "resources": [
            {"resources": ["configmaps"], "providers": [{provider: kms if provider == "kms" else keys}]}
        ],
    }
    path.write_text(json.dumps(config))
    return f"--encryption-provider-config={path}"


def test_a_field_of_encrypted_changes(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It takes the configuration by which the server encrypts."""
    flag = encryption(tmp_path / "own.yaml", "a")
    ciphers = Encryption(
        encryption_config.load(flag.partition("=")[2]), resources_by_key(Catalog(built_in())), "/registry"
    )
    file = HistoryFile(tmp_path, ciphers.encrypt, ciphers.decrypt)
    file.open()
    values = [b'[["=",["data","b"],"1","2"]]', b'[["=",["data","a"],"hunter","2"]]']
    changes = [
        RecordedChange(number, MAP, ChangeKind.CHANGED, 1, b"[]", "", value)
        for number, value in enumerate(values, 1)
    ]
    file.record(changes, 2)
    words = "cm/a", "-n", "shop", "--field=.data.a", "--yes"
    assert purge(tmp_path, *words) == 1
    assert "encrypted, which needs --encryption-provider-config, or damaged" in capsys.readouterr().err
    assert purge(tmp_path, *words, encryption(tmp_path / "other.yaml", "o")) == 1
    assert "no key of --encryption-provider-config decrypts its changes" in capsys.readouterr().err
    assert purge(tmp_path, *words, encryption(tmp_path / "kms.yaml", "k", "kms")) == 1
    assert "no key of --encryption-provider-config decrypts its changes" in capsys.readouterr().err
    assert purge(tmp_path, *words, flag) == 0
    assert ".data.a forgotten in 1 change." in capsys.readouterr().out
    held = [unpack(ciphers.decrypt(MAP, value)) for step in file.values(MAP) for value in step]
    assert held == [values[0], b'[["=",["data","a"],"(purged)","(purged)"]]']
    assert all(value.startswith(b"k8s:enc:aesgcm:v1:a:") for step in file.values(MAP) for value in step)
    file.close()


def test_a_field_that_is_none(directory: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert purge(directory, "cm/a", "-n", "shop", "--field=[", "--yes") == 1
    assert "not a path of a field: [" in capsys.readouterr().err


def test_a_field_of_many_changes(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = HistoryFile(tmp_path)
    file.open()
    changes = [
        RecordedChange(number, MAP, ChangeKind.CHANGED, 1, b"", "", b'[["+",["data","a"],"%d"]]' % number)
        for number in range(1, 2 * STEP + 10)
    ]
    file.record(changes, len(changes))
    assert purge(tmp_path, "cm/a", "-n", "shop", "--field=data.a", "--yes") == 0
    assert f"data.a forgotten in {len(changes)} changes." in capsys.readouterr().out
    assert file._db.execute("SELECT DISTINCT value FROM changes").fetchall() == [
        (b'\0[["+",["data","a"],"(purged)"]]',)
    ]
    file.close()
