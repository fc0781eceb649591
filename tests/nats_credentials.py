"""Keys and credentials of NATS's decentralised authorisation, as its tool `nsc` makes them: for tests of clusters."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import nkeys

UNLIMITED = dict.fromkeys(("subs", "data", "payload", "conn", "leaf", "imports", "exports"), -1)
STORAGE = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)


class Key:
    """A pair of keys of an operator, an account or a user."""

    def __init__(self, prefix: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), prefix)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public = self._pair.public_key.decode()

    def signs(self, subject: str, kind: str, further: dict[str, Any], **times: int) -> str:
        """A JWT that says who `subject` is."""
        nats = {"type": kind, "version": 2, **further}
        claims = {"jti": subject, "iat": 1, "iss": self.public, "name": kind, "sub": subject, "nats": nats, **times}
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        said = b".".join(_base64(json.dumps(each).encode()) for each in (head, claims))
        return (said + b"." + _base64(self._pair.sign(said))).decode()


class Operator:
    """An operator with one account for chats, whose users connect with credentials files."""

    def __init__(self) -> None:
        self.key = Key(nkeys.PREFIX_BYTE_OPERATOR)
        self.account = Key(nkeys.PREFIX_BYTE_ACCOUNT)

    def config(self, file: Path) -> str:
        """Write what a NATS server is started with, and return its name."""
        system = Key(nkeys.PREFIX_BYTE_ACCOUNT)
        chats = self.key.signs(self.account.public, "account", {"limits": {**UNLIMITED, **STORAGE}})
        others = self.key.signs(system.public, "account", {"limits": UNLIMITED})
        file.write_text(
            f"operator: {self.key.signs(self.key.public, 'operator', {})}\n"
            f"system_account: {system.public}\nresolver: MEMORY\n"
            f"resolver_preload: {{\n{self.account.public}: {chats}\n{system.public}: {others}\n}}\n"
        )
        return str(file)

    def user(self, **times: int) -> str:
        """What stands in the credentials file of a new user; `exp` says until when they are valid."""
        key = Key(nkeys.PREFIX_BYTE_USER)
        jwt = self.account.signs(key.public, "user", dict.fromkeys(("subs", "data", "payload"), -1), **times)
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{key.seed.decode()}\n------END USER NKEY SEED------\n"
        )


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
