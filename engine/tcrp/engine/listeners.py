"""A listener as a server's engine knows it: which dialects it recognises.

Its ports and addresses are its driver's affair. A listener's number is its place in `ServerConfig.listeners`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcrp.engine.codec import Codec, codec
from tcrp.spec.dialects import AUTO


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """`dialects` are those that it recognises, in order; of a single one nothing is to be recognised.

    Without any it is `auto`: those that recognition tells apart (section 4).
    """

    dialects: tuple[Codec, ...] = ()

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The dialects that it recognises; what is none of them is refused in the first."""
        return self.dialects or tuple(codec(name) for name in AUTO)

    def speaks(self, name: str) -> Codec:
        """The dialect of that name."""
        return next((each for each in self.dialects if each.dialect.name == name), None) or codec(name)
