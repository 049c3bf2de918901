import pathlib

import pytest

from pilothouse.configuration import options


def test_a_signer_excludes_keys_of_our_own(tmp_path: pathlib.Path) -> None:
    key = tmp_path / "key"
    key.write_text("")
    for flag in ("--service-account-signing-key-file", "--service-account-key-file"):
        with pytest.raises(options.ConfigError, match="They are mutually exclusive"):
            options.parse(["--service-account-signing-endpoint=/s.sock", f"{flag}={key}"])
