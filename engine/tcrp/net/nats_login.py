"""How a server of a cluster is let in by NATS: credentials and certificates, from files.

Knows files and what nats-py's `connect` takes, no connection.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

from nats.aio.client import RawCredentials

_PART = re.compile(r"-----BEGIN ([A-Z ]+)-----\s+(\S+)\s+-+END \1-+")


class CannotJoin(Exception):
    """The server cannot be one of the cluster. The message says what to do."""


def credentials(path: Path) -> dict[str, Any]:
    """Options of `connect`, from a credentials file of NATS (`.creds`) or from one line: `user:password`, or a token.

    Raises `CannotJoin`.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise CannotJoin(f"{path}: the credentials cannot be read: {word(error)}") from None
    if "-----BEGIN" in text:
        _check(path, text)
        return {"user_credentials": RawCredentials(text)}
    if len(text.splitlines()) != 1:
        raise CannotJoin(f"{path}: credentials are one line, user:password or a token, or a .creds file of NATS")
    user, colon, password = text.partition(":")
    return {"user": user, "password": password} if colon else {"token": text}


def _check(path: Path, text: str) -> None:
    """Raise `CannotJoin` for a `.creds` file that nats-py could not read: it would fail without a word, or for ever."""
    try:
        import nkeys
    except ImportError:
        raise CannotJoin(f"{path}: credentials of this kind need nkeys: pip install 'nats-py[nkeys]'") from None
    parts = dict(_PART.findall(text))
    try:
        nkeys.from_seed(bytearray(parts["USER NKEY SEED"].encode()))
        whole = "NATS USER JWT" in parts
    except (KeyError, ValueError, nkeys.NkeysError):
        whole = False
    if not whole:
        raise CannotJoin(
            f"{path}: this is no whole .creds file of NATS, which has a user's JWT and the seed of its key"
        )


def tls(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Whom to believe, and who the server is. Raises `CannotJoin`."""
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca is not None else None)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(each) for each in (ca, certificate, key) if each is not None)
        raise CannotJoin(f"{files}: the certificates for NATS cannot be read: {word(error)}") from None
    return context


def word(error: BaseException) -> str:
    """An error of nats-py in a few words."""
    return str(getattr(error, "description", None) or getattr(error, "strerror", None) or error) or type(error).__name__
