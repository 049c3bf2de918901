"""The directories where this server keeps what it makes."""

import os
import pathlib

from pilothouse.configuration.sections.section import Section, own, secure_serving
from pilothouse.process.frozen import frozen


@frozen(eq=False)
class DataOptions(Section):
    """The directories where this server keeps what it makes."""

    # fmt: off
    cert_dir: str = secure_serving("", "string",
        "Directory of the serving certificate (apiserver.crt, apiserver.key); made there when missing. "
        "Default: --data-dir.")
    data_dir: str = own("", "string",
        "Where objects, keys and certificates are kept. Default: --cert-dir, else "
        "$XDG_STATE_HOME/pilothouse.")
    from_state: str = own("", "file",
        "A state that `pilothouse fork save` has written: begin with its objects and keys, in a data "
        "directory that has no store yet.")
    write_kubeconfig: str = own("", "string",
        "File to write the administrator's kubeconfig to, once the server is ready.")
    # fmt: on

    @property
    def directory(self) -> pathlib.Path:
        """The directory where this server keeps what it makes:
        --data-dir, else --cert-dir, else a state directory.

        A server that was given its own --cert-dir (as envtest does) so gets its own data without being asked.
        """
        if self.data_dir or self.cert_dir:
            return pathlib.Path(self.data_dir or self.cert_dir)
        state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        return pathlib.Path(state) / "pilothouse"

    @property
    def certificate_directory(self) -> pathlib.Path:
        """The directory where the serving certificate is looked for, and made."""
        return pathlib.Path(self.cert_dir) if self.cert_dir else self.directory
