"""A listener as a server's engine knows it: which dialects it recognises.

Its ports and addresses are its driver's affair. A listener's number is its place in `ServerConfig.listeners`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcrp.engine.codec import Codec, codec
from tcrp.engine.recognition import Recognised, Recogniser
from tcrp.spec.dialects import AUTO
from tcrp.spec.frozen import Frozen
from tcrp.spec.names import Operation

USUAL_PORT = 40001  # which does not print as text


@dataclass(frozen=True, slots=True)
class ListenerConfig(Frozen):
    """`dialects` are those that it recognises, in order; of a single one nothing is to be recognised.

    Without any it is `auto`: those that recognition tells apart (section 4).
    """

    dialects: tuple[Codec, ...] = ()

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The dialects that it recognises; what is none of them is refused in the first."""
        return self.dialects or tuple(codec(name) for name in AUTO)

    def fault(self) -> str | None:
        """Why a dialect of the list would never be recognised, or None."""
        if len(self.dialects) < 2:
            return None
        recogniser = Recogniser(self.dialects)
        for each in self.dialects:
            name = each.dialect.name
            if each.dialect.greeting is not None:
                return f"{name} greets its clients first, so none can be recognised: it needs a listener of its own"
            usual = each.write_request(Operation.JOIN, b"lobby", "alice", "sesame", "127.0.0.1", USUAL_PORT)
            found = recogniser.read(usual, limit=len(usual), is_over=True)
            if isinstance(found, Recognised) and found.codec is not None and found.codec is not each:
                other = found.codec.dialect.name
                return f"requests of {name} would be taken for {other}, which stands before it: it needs its own"
        return None

    def speaks(self, name: str) -> Codec:
        """The dialect of that name."""
        return next((each for each in self.dialects if each.dialect.name == name), None) or codec(name)
