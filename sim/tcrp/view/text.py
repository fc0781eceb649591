"""A trace in sentences, for those who listen to it, and for terminals of any width."""

from __future__ import annotations

from collections.abc import Iterator

from tcrp.trace.sentences import sentence
from tcrp.view.about import About
from tcrp.view.picture import Fate, Picture, Role


def text(picture: Picture, about: About) -> Iterator[str]:
    """Lines: what was run and found, who takes part, what happened, and how it ended. Each ends with LF."""
    yield f"{about.title}.\n"
    if about.subtitle:
        yield f"{about.subtitle}.\n"
    if about.verdict:
        yield f"{about.verdict}.\n"
    for finding in about.findings:
        yield f"{finding.what}.\n"
        for name, part in finding.parts:
            yield f"  {name} {part}.\n"
        if finding.n:
            yield f"  See record {finding.n}.\n"
    yield from _people(picture)
    yield "\nWhat happened:\n"
    for record in picture.records:
        cause = f", after {record.cause}" if record.cause else ""
        at = f"{record.t_us // 1_000_000}.{record.t_us % 1_000_000:06d}"
        yield f"{record.n} at {at} s{cause}. {sentence(record)}.\n"
    yield from _end(picture)


def _people(picture: Picture) -> Iterator[str]:
    yield "\nWho takes part:\n"
    for index in picture.order:
        line = picture.lifelines[index]
        what = {Role.SERVER: "", Role.USER: ", a user", Role.MEMBER: ", a member of whom the server tells"}[line.role]
        speaks = f", who speaks the dialect {line.dialect}" if line.dialect else ""
        yield f"{line.id}{what}{speaks}.\n"


def _end(picture: Picture) -> Iterator[str]:
    last = picture.records[-1].n
    yield "\nHow it ended:\n"
    for track in picture.tracks:
        state = track.state_at(last)
        if state is not None and track.machine != "handshake":
            owner = picture.lifelines[track.lifeline].id
            yield f"At {owner}, the {track.machine} {track.id} is {state}.\n"
    lost = [packet for packet in picture.packets if packet.fate not in (Fate.ARRIVED, Fate.IN_FLIGHT)]
    yield f"Packets: {len(picture.packets)}, of which lost, dropped or not sent: {len(lost)}.\n"
    yield f"Faults: {len(picture.faults)}. Refusals: {len(picture.refusals)}. "
    yield f"Texts and notices that were read: {len(picture.shows)}.\n"
