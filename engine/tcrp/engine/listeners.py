"""A listener as a server's engine knows it: which dialects it recognises.

Its ports and addresses are its driver's affair. A listener's number is its place in `ServerConfig.listeners`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcrp.engine.codec import Codec, Request, codec, recognise


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """`dialects` are those that it recognises, in order; of a single one nothing is to be recognised.

    Without any it is `auto`: those that recognition tells apart (section 4).
    """

    dialects: tuple[Codec, ...] = ()

    def read_request(self, payload: bytes) -> tuple[Codec, Request | None] | None:
        """The dialect of a request and what it says; None where no dialect is recognised."""
        return recognise(payload, self.dialects)

    @property
    def refuses_in(self) -> Codec:
        """The dialect of an answer to what was not recognised."""
        return self.dialects[0] if self.dialects else codec("text")

    @property
    def lists(self) -> Codec | None:
        """The dialect in which an empty room's name asks for the list of rooms, or None."""
        return next((each for each in self.dialects if each.dialect.lists), None)

    def speaks(self, name: str) -> Codec:
        """The dialect of that name."""
        return next((each for each in self.dialects if each.dialect.name == name), None) or codec(name)
