"""Functions of OpenSSL that Python's ssl does not offer, called in the library that ssl itself uses.

Where they cannot be found (another Python, a library without its names) callers go
on without what they would have done.
"""

import ctypes
import functools
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from pilothouse.logs import Logger

log = Logger(__name__)

_SET_GROUPS = 92
"""SSL_CTRL_SET_GROUPS_LIST."""
_GET_MODE = "SSL_CTX_get_verify_mode"
_KNOWN = ((3, 11), (3, 12), (3, 13), (3, 14))
"""The versions of CPython of which it is known where a context has its SSL_CTX."""
_PROBE = (
    "import ssl; from pilothouse.server import openssl; openssl.read(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))"
)


@functools.cache
def loaded() -> ctypes.CDLL | None:
    """OpenSSL as Python's ssl has loaded it; None where that is not known."""
    if sys.implementation.name != "cpython":
        return None
    import _ssl

    try:
        found = ctypes.CDLL(getattr(_ssl, "__file__", None))
        getattr(found, _GET_MODE).argtypes = (ctypes.c_void_p,)
    except (OSError, AttributeError):
        return None
    return found


@functools.cache
def readable() -> bool:
    """Whether a context can be read: a version of Python that is not known tries it in another process,
    which may crash."""
    if sys.version_info[:2] in _KNOWN:
        return True
    tried = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=False)
    if tried.returncode:
        log.warning("TLS contexts of this Python cannot be read; clients are not told which CAs are known")
    return not tried.returncode


def pointer(context: ssl.SSLContext) -> ctypes.c_void_p | None:
    """The SSL_CTX of a context; None where it cannot be had."""
    return read(context) if readable() else None


def read(context: ssl.SSLContext) -> ctypes.c_void_p | None:
    """The first member of CPython's PySSLContext; None if it does not look like an SSL_CTX.
    Another layout may crash."""
    found = loaded()
    if found is None:
        return None
    at = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    return at if getattr(found, _GET_MODE)(at) == int(context.verify_mode) else None


def name_authorities(context: ssl.SSLContext, authorities: Sequence[bytes]) -> bool:
    """Tell clients in the handshake the subjects of these CAs (PEM),
    by which one with several certificates chooses.

    Go's servers do the same with the CAs that they are given for clients.
    False where OpenSSL cannot be reached.
    """
    found, at = loaded(), pointer(context)
    if found is None or at is None:
        return False
    try:
        load, give = found.SSL_load_client_CA_file, found.SSL_CTX_set_client_CA_list
    except AttributeError:
        return False
    load.argtypes, load.restype = (ctypes.c_char_p,), ctypes.c_void_p
    give.argtypes, give.restype = (ctypes.c_void_p, ctypes.c_void_p), None
    with tempfile.NamedTemporaryFile(prefix="pilothouse-") as file:  # OpenSSL reads them from nowhere else
        file.write(b"\n".join(authorities))
        file.flush()
        names = load(file.name.encode())
    if not names:
        return False
    give(at, names)  # the context owns them now
    return True


def choose_groups(context: ssl.SSLContext, names: Sequence[str]) -> bool:
    """Offer these key exchanges only, the first as the preferred one;
    False where OpenSSL cannot, or does not know one."""
    found, at = loaded(), pointer(context)
    if found is None or at is None:
        return False
    try:
        control = found.SSL_CTX_ctrl
    except AttributeError:
        return False
    control.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
    control.restype = ctypes.c_long
    return bool(control(at, _SET_GROUPS, 0, ":".join(names).encode()) == 1)
