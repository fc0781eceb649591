"""Probes that send what no client would: malformed datagrams, rubbish over TCP. They run last, if asked for."""

from __future__ import annotations

from tcrp.engine.frames import HEADER_BYTES, write_frame
from tcrp.judge.ground import Unreached
from tcrp.judge.probe import Group, Probe
from tcrp.judge.record import CannotTest
from tcrp.judge.stage import Kind, Stage, User
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, REJECTED_IN_A_ROW_MAX
from tcrp.spec.names import Operation, Rule

CREATE, JOIN = Operation.CREATE, Operation.JOIN
ROUNDS = 2
NOT_UTF8 = b"\xff\xfe\xc3\x28"


def _malformed(user: User) -> dict[str, bytes]:
    """Datagrams that mean nothing. None holds a living token, so none ends a session (R-IDLE-2)."""
    token = b"f" * len(user.token)
    return {
        "an empty datagram": b"",
        "a single byte": b"\x05",
        "two bytes, which promise more": b"\xff\xff",
        "a token of one byte": b"\x00\x01\xff",
        "lengths beyond the end": bytes((200, 200)) + b"short",
        "no room and no token": b"\x00\x00hello",
        "a room that is not UTF-8": user.forged(b"hello", room=NOT_UTF8, token=token),
        "a token that is not UTF-8": user.forged(b"hello", token=NOT_UTF8),
        "a room that does not exist": user.forged(b"hello", room=b"none", token=token),
        "an unknown token and a text that is not UTF-8": user.forged(NOT_UTF8, token=token),
        "4096 zero bytes": bytes(CLIENT_DATAGRAM_BYTES_MAX),
    }


async def malformed(stage: Stage) -> None:
    ann, bob = await stage.room("ann", "bob")
    stranger = stage.user("stranger")
    for what, data in _malformed(ann).items():
        before = len(bob.heard), len(stranger.heard)
        stranger.send(data, what)
        if await _is_deaf(stage, ann, bob):
            return stage.broken(Rule.UDP_3, f"after {what}, nothing is relayed any more")
        if len(stranger.heard) > before[1]:
            return stage.broken(Rule.UDP_3, f"{what} is answered: {stranger.heard[-1].data[:60]!r}")
        if any(b"hello" in each.data for each in bob.heard[before[0] :]):
            return stage.broken(Rule.UDP_3, f"{what} is relayed")
    bob.send(bob.forged(NOT_UTF8), "a text that is not UTF-8, with bob's token")
    if await _is_deaf(stage, ann, bob):
        return stage.broken(Rule.UDP_3, "after a text that is not UTF-8, nothing is relayed any more")
    if any(NOT_UTF8 in each.data for each in ann.heard):
        return stage.broken(Rule.UDP_3, "a text that is not UTF-8 is relayed")
    return stage.holds(Rule.UDP_3, "malformed datagrams change nothing and are not answered")


async def _is_deaf(stage: Stage, speaker: User, hearer: User) -> bool:
    """Whether nothing arrives any more, though said more often than a bad link could lose."""
    for _ in range(ROUNDS):
        if await stage.reaches(speaker, hearer):
            return False
    return True


async def oversize(stage: Stage) -> None:
    ann, bob = await stage.room("ann", "bob")
    text = stage.text("oversize ").ljust(CLIENT_DATAGRAM_BYTES_MAX, "x")
    ann.say(text, f"{CLIENT_DATAGRAM_BYTES_MAX} bytes of text and a header")
    await stage.settles(ann, bob)
    arrived = next((len(each.data) for each in bob.heard if text[:20].encode() in each.data), None)
    return stage.judge(
        Rule.UDP_1, arrived is None, "datagrams over 4096 bytes are not relayed",
        f"a datagram of more than {CLIENT_DATAGRAM_BYTES_MAX} bytes is relayed, in {arrived}",
    )  # fmt: skip


async def rejected_in_a_row(stage: Stage) -> None:
    """Three rejected datagrams in a row end a session; a valid one between them starts the count anew."""
    ann, bob = await stage.room("ann", "bob")
    for _ in range(REJECTED_IN_A_ROW_MAX - 1):
        bob.send(bob.says("hello", room="elsewhere"), "with a wrong room")
    if not await stage.reaches(bob, ann):
        return stage.broken(Rule.IDLE_2, f"{REJECTED_IN_A_ROW_MAX - 1} datagrams with a wrong room end a session")
    for _ in range(3 * REJECTED_IN_A_ROW_MAX):  # more than three, since some may be lost
        bob.send(bob.says("hello", room="elsewhere"), "with a wrong room")
    await stage.ground.sleep(stage.waits.quiet_us)
    text = stage.text("still here")
    bob.say(text)
    if await ann.hears(text, stage.waits.relay_us // 2):
        return stage.broken(
            Rule.IDLE_2, f"{3 * REJECTED_IN_A_ROW_MAX} datagrams in a row with a wrong room do not end a session"
        )
    return stage.holds(Rule.IDLE_2, "rejected datagrams in a row end a session, not before the third")


async def rubbish(stage: Stage) -> None:
    """Requests that no client sends are refused or dropped, and others are served."""
    ann = stage.user("ann")
    await stage.needs(ann, CREATE, stage.new_room())
    requests = {
        "a payload of 2**200 bytes": bytes((4, 1, 0)) + (2**200).to_bytes(29, "big") + b"room",
        "a payload of 2 GiB": bytes((4, 1, 0)) + (2**31).to_bytes(29, "big") + b"room",
        "operation 9": write_frame(4, 9, 0, b"room", b"ann"),
        "state 7": write_frame(4, 1, 7, b"room", b"ann"),
        "a room name that is not UTF-8": write_frame(len(NOT_UTF8), 1, 0, NOT_UTF8, b"ann"),
        "a user name that is not UTF-8": write_frame(len(ann.room), 2, 0, ann.room.encode(), NOT_UTF8 * 3),
        "JSON that is deep": write_frame(len(ann.room), 2, 0, ann.room.encode(), b"[" * 3000),
        "zeros": bytes(HEADER_BYTES),
        "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(32),
    }
    for number, (what, data) in enumerate(requests.items()):
        try:
            stream = await stage.connect()
        except Unreached as error:
            return stage.broken(Rule.LIM_1, f"before {what}: no connection any more ({error})")
        stage.log("stranger", "→", "TCP", data, what)
        await stream.send(data)
        await stream.receive(stage.waits.quiet_us)
        stream.close()
        guest = stage.user(f"guest{number}")
        ann.keep_alive()
        reply = await stage.ask(guest, JOIN, ann.room)
        if reply.kind is not Kind.GRANTED:
            return stage.broken(Rule.LIM_1, f"after a request with {what}, others are not served: {reply.words}")
        guest.takes(ann.room, reply.token).enter()
    return stage.holds(Rule.LIM_1, "rubbish over TCP is refused or dropped, and others are served")


async def flood(stage: Stage) -> None:
    """A burst over the limit of texts may be dropped; it must not stop the others."""
    ann, bob, cat = await stage.room("ann", "bob", "cat")
    texts = [stage.text("flood") for _ in range(200)]
    for text in texts:
        cat.send(cat.says(text))
    if not await stage.reaches(ann, bob):
        raise CannotTest("after 200 texts at once ann no longer reaches bob")
    passed = sum(bool(bob.times(text)) for text in texts)
    return stage.holds(Rule.LIM_1, f"after 200 texts at once, of which {passed} were relayed, others are still heard")


PROBES = (
    Probe("oversize datagram", Group.HOSTILE, (Rule.UDP_1,), "more than 4096 bytes are not relayed", oversize),
    Probe("rejected in a row", Group.HOSTILE, (Rule.IDLE_2,), "three rejected datagrams end", rejected_in_a_row),
    Probe("flood", Group.HOSTILE, (Rule.LIM_1,), "a flood stops nobody else", flood),
    Probe("rubbish over TCP", Group.HOSTILE, (Rule.LIM_1,), "rubbish over TCP stops nobody else", rubbish),
    Probe("malformed datagrams", Group.HOSTILE, (Rule.UDP_3,), "malformed datagrams change nothing", malformed),
)
