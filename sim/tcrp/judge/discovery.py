"""Finds out which dialect a server speaks: tries each one that is known, and says how far it got.

Where none fits, it describes the one that fits best, with what the server does differently, to start a file from.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from tcrp.engine.codec import Codec
from tcrp.engine.meanings import Relayed
from tcrp.judge.ground import Ground
from tcrp.judge.guessing import HEARER, SPEAKER, Guess, toml_of, with_relay
from tcrp.judge.record import Skip, Waits
from tcrp.judge.stage import Kind, Reply, Stage, User
from tcrp.spec.names import Operation

PREFERRED = "json"
"""Of several dialects that fit, this one is judged: it can say most."""


class Fit(NamedTuple):
    """How far a dialect got with a server: one sentence for each field, and whether all is as the dialect says."""

    codec: Codec
    fields: tuple[tuple[str, str], ...]
    steps: int  # that went well: create, join, a relay that arrives, its form, the leave word
    relay: bytes = b""  # as it arrived
    text: str = ""
    first: Reply = Reply(Kind.GRANTED)  # to the request to create a room

    @property
    def is_whole(self) -> bool:
        """Whether requests, replies and relays are of this dialect."""
        return self.steps >= WHOLE


REPLIES, FORM_OF_RELAY, WHOLE = 1, 3, 4
"""Steps: more than the first means that both requests were granted; at the second a relay came, in another form."""


async def discover(ground: Ground, codecs: Iterable[Codec], waits: Waits) -> list[Fit]:
    """How each dialect fits, the best first."""
    numbers = itertools.count(1)
    fits = []
    for codec in codecs:
        stage = Stage(ground, codec, waits, "discovery", numbers)
        try:
            fits.append(await _try(stage))
        finally:
            stage.close()
    return sorted(fits, key=lambda fit: (-fit.steps, not fit.first.speaks, fit.codec.dialect.name != PREFERRED))


async def _try(stage: Stage) -> Fit:
    fields: list[tuple[str, str]] = []
    users = [stage.user(SPEAKER), stage.user(HEARER)]
    room = stage.new_room()
    for user, operation in zip(users, (Operation.CREATE, Operation.JOIN), strict=True):
        reply = await stage.ask(user, operation, room)
        fields.append((str(operation), reply.words))
        if reply.kind is not Kind.GRANTED:
            return Fit(stage.codec, tuple(fields), len(fields) - 1, first=reply)
        user.takes(room, reply.token).enter()
    ann, bob = users
    text = stage.text("hello")
    for _ in range(stage.tries):
        ann.say(text)
        if await bob.hears(text):
            break
    arrived = next((each for each in bob.heard if text.encode() in each.data), None)
    if arrived is None:
        fields.append(("relay", "no text of the one reaches the other"))
        return Fit(stage.codec, tuple(fields), 2)
    if not (isinstance(arrived.message, Relayed) and arrived.message == Relayed(SPEAKER, text)):
        fields.append(("relay", f"is {arrived.data!r}, which is not of this dialect"))
        return Fit(stage.codec, tuple(fields), 3, arrived.data, text)
    fields.append(("relay", "is of this dialect"))
    left = await _leaves(stage, ann, bob)
    fields.append(("leave", left or "the leave word ends the session"))
    return Fit(stage.codec, tuple(fields), WHOLE + (left is None), arrived.data, text)


async def _leaves(stage: Stage, ann: User, bob: User) -> str | None:
    """What is wrong with the leave word, or None."""
    try:
        bob.leave()
    except Skip as skip:
        return str(skip)
    await stage.ground.sleep(stage.waits.quiet_us)
    text = stage.text("after leaving")
    ann.say(text)
    await bob.hears(text, stage.waits.quiet_us)
    return "the leave word does not end the session" if bob.times(text) else None


# --- a file to start from ----------------------------------------------------------------------------


def description(fit: Fit, guessed: Guess | None, name: str) -> str:
    """A description to start from, that can be read as it is: the dialect that fits best, with what was seen."""
    base = fit.codec.dialect.name
    fields = (*fit.fields, *(guessed.fields if guessed is not None else ()))
    said = "\n".join(f"#   {what}: {how}" for what, how in fields)
    origin = (
        f"from the included dialect {base}, which fits best" if guessed is None else "from what the server answered"
    )
    head = (
        f"# Written by chat-sim conform --dialect auto, {origin}.\n# Seen:\n{said}\n"
        "# Correct it, try it with chat-sim dialect check, and judge again with --dialect and this file.\n"
    )
    toml = guessed.toml if guessed is not None else with_relay(toml_of(base), fit.relay, SPEAKER, fit.text)
    return head + re.sub(r"^name = .*$", lambda _: f"name = {json.dumps(name)}", toml, count=1, flags=re.MULTILINE)
