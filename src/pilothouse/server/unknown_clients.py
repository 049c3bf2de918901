"""Lets a TLS handshake continue whose client has a certificate of an unknown CA,
so that the request is answered with 401.

Go's servers ask for a certificate and leave its verification to the authenticator. OpenSSL verifies it within
the handshake, which its callback decides about;
Python's ssl has no way to set one, so this is done through OpenSSL's own function.
"""

import ctypes
import functools
import ssl
from collections.abc import Callable
from typing import Any

from pilothouse.logs import Logger
from pilothouse.server import openssl

log = Logger(__name__)

UNKNOWN_CA = frozenset((2, 7, 18, 19, 20, 21))
"""X509_V_ERR_ of chains that do not lead to a known CA, or to one that only has the same name (7):
a wrong signature.

Every signature is checked once more by the authenticator.
"""
INVALID_PURPOSE = 26
"""The error code of a certificate for other uses.
The authenticator looks at the client's own, not at those of the CAs above it."""


def admit(context: ssl.SSLContext) -> bool:
    """Admit certificates of unknown CAs on the connections of a context that asks for certificates;
    False where OpenSSL cannot be reached.

    There such certificates end the connection, as all other faults do everywhere.
    """
    set_callback = _setter()
    if set_callback is None:
        log.warning(
            "Clients with certificates of unknown CAs are cut off: OpenSSL's functions cannot be found"
        )
        return False
    return set_callback(context)


def is_complete(context: ssl.SSLContext, chain: tuple[bytes, ...]) -> bool:
    """Whether a chain (DER, leaf first) that OpenSSL has built ends at a CA of the context."""
    return bool(chain) and chain[-1] in context.get_ca_certs(binary_form=True)


@functools.cache
def _setter() -> Callable[[ssl.SSLContext], bool] | None:
    """The function that sets the callback, which lives as long as the process;
    None where the functions cannot be found."""
    found = openssl.loaded()
    if found is None:
        return None
    try:
        set_verify, get_mode = found.SSL_CTX_set_verify, found.SSL_CTX_get_verify_mode
        get_error, get_depth = found.X509_STORE_CTX_get_error, found.X509_STORE_CTX_get_error_depth
    except AttributeError:
        return None
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    set_verify.argtypes, set_verify.restype = (ctypes.c_void_p, ctypes.c_int, kind), None
    get_error.argtypes = get_depth.argtypes = (ctypes.c_void_p,)

    def verify(good: int, store: Any) -> int:
        error = get_error(store)
        own = error == INVALID_PURPOSE and get_depth(store) == 0
        return int(bool(good) or error in UNKNOWN_CA or own)

    callback = kind(verify)

    def set_callback(context: ssl.SSLContext) -> bool:
        at = openssl.pointer(context)
        if at is None:
            return False
        set_verify(at, get_mode(at), callback)
        return True

    return set_callback
