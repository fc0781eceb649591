"""Dialects that come with the protocol, with lines of their files that are others."""

from __future__ import annotations

from tcrp.engine.codec import Codec, codec_of
from tcrp.spec.dialects import parse, path_of


def changed(name: str, *changes: tuple[str, str]) -> Codec:
    """A dialect whose file has been changed."""
    toml = path_of(name).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in toml
        toml = toml.replace(old, new)
    return codec_of(parse(toml, name))
