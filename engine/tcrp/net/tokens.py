"""Tokens for a server on real sockets: from the system's random source."""

from __future__ import annotations

import secrets

from tcrp.spec.limits import TOKEN_BYTES


def system_token() -> bytes:
    """32 lowercase hexadecimal digits, 128 bits of chance (R-TOK-1)."""
    return secrets.token_hex(TOKEN_BYTES // 2).encode()
