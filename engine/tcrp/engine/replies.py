"""A server's replies as a client of one dialect reads them: which message it is, and what that says.

Reading is total. A message in words that are none of the dialect's is a refusal, as far as its frame can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from msgspec.structs import replace

from tcrp.engine.datagrams import string
from tcrp.engine.meanings import Accepted, Completed, Denied, Reply, Unread
from tcrp.engine.messages import distinct, has_status_bytes, json_object, timeout, unwrapped, with_any_value
from tcrp.engine.templates import EXTRA, SPAN, Partial, Read, Template, compile_message
from tcrp.spec.dialects import Dialect
from tcrp.spec.fields import Message, Role
from tcrp.spec.limits import TOKEN_BYTES_MAX
from tcrp.spec.names import Operation, Reason

IDLE_TIMEOUT: Final = "idle_timeout"
"""The member of a JSON completion that says, in seconds, how much silence the server tolerates."""
REPLY_PAYLOAD_BYTES_MAX: Final = 64 * 1024
REPLY_BYTES_MAX: Final = REPLY_PAYLOAD_BYTES_MAX + 4096


class _Candidate(NamedTuple):
    """A message that a server may send, and what it is."""

    template: Template
    kind: type[Accepted | Completed | Denied]
    reasons: tuple[Reason, ...] = ()
    needs_answer: bool = False  # it would be read into anything: it counts behind an answer only


class ReplyReader:
    """Reads replies by the templates of a dialect. `takes_token` says whether its datagrams have room for a token."""

    def __init__(
        self,
        dialect: Dialect,
        answers: Mapping[Operation, Template],
        completions: Mapping[Operation, Template],
        refusals: Mapping[Reason, Template],
        takes_token: Callable[[bytes], bool],
    ) -> None:
        self._dialect = dialect
        self._answers = answers
        self._completions = completions
        self._refusals = refusals
        self._takes_token = takes_token
        self._replies = {each: self._candidates(each) for each in (Operation.CREATE, Operation.JOIN)}
        self._any_replies = [compile_message(each) for each in distinct(self._loosened())]

    def read(self, data: bytes, operation: Operation, *, is_over: bool, is_accepted: bool) -> Reply | Partial | Unread:
        """The first message of a server's reply to a request for `operation`. `is_accepted`: an answer came before."""
        waits: Partial | None = None
        unknown: Reply | None = None
        for candidate in self._replies[operation]:
            if candidate.needs_answer and not is_accepted:
                continue
            read = candidate.template.read(data, limit=REPLY_BYTES_MAX, is_over=is_over)
            if isinstance(read, Read) and (waits is None or waits.is_open):
                says = self._says(candidate, read, data)
                if says is None:
                    continue
                reply = Reply(read.size, says, read.values.get(SPAN, data[: read.size]))
                if candidate.kind is not Denied or self._knows(candidate, read):
                    return reply
                unknown = unknown or reply  # a refusal in other words, if it is nothing else
            elif isinstance(read, Partial) and waits is None:
                waits = read
        return waits or unknown or self._read_unknown(data, is_over)

    def _read_unknown(self, data: bytes, is_over: bool) -> Reply | Partial | Unread:
        """A message in words that are none of the dialect's, as far as its frame is."""
        for template in self._any_replies:
            read = template.read(data, limit=REPLY_BYTES_MAX, is_over=is_over)
            if isinstance(read, Partial):
                return read
            if isinstance(read, Read):
                payload = read.values.get(SPAN, data[: read.size])
                return Reply(read.size, Denied(None, payload.decode(errors="replace")), payload)
            if read.is_too_long:
                return Unread(f"a reply of {read.value} bytes")
        return Unread(data[:80].decode(errors="replace"))

    def _candidates(self, operation: Operation) -> list[_Candidate]:
        """What a reply may be, in the order in which it is tried: a token that may be anything comes last."""
        answers = [_Candidate(self._answers[operation], Accepted)] if self._answers else []
        completion = self._completions[operation]
        is_anything = bool(answers) and completion.message.is_open
        completions = [_Candidate(completion, Completed, needs_answer=is_anything)]
        by_form: list[tuple[Template, list[Reason]]] = []
        for reason, template in self._refusals.items():
            if not template.message.items:  # its form is the end of the stream
                continue
            found = [reasons for known, reasons in by_form if known.message == template.message]
            if found:
                found[0].append(reason)
            else:
                by_form.append((template, [reason]))
        refusals = [_Candidate(template, Denied, tuple(reasons)) for template, reasons in by_form]
        if json_object(self._dialect.completion[operation]) is not None:
            return [*answers, *completions, *refusals]
        return [*answers, *refusals, *completions]

    def _says(self, candidate: _Candidate, read: Read, data: bytes) -> Accepted | Completed | Denied | None:
        if candidate.kind is Accepted:
            return Accepted()
        if candidate.kind is Denied:
            return self._denied(candidate, read, data)
        token = string(read.values["token"])
        raw = token.encode() if token is not None else read.values["token"]
        if not isinstance(raw, bytes) or not 0 < len(raw) <= TOKEN_BYTES_MAX or not self._takes_token(raw):
            return Denied(None, "the completion holds no token")
        return Completed(raw, timeout(read.values.get(EXTRA, {}).get(IDLE_TIMEOUT)))

    def _knows(self, candidate: _Candidate, read: Read) -> bool:
        """Whether a refusal is in words of the dialect, though perhaps in those of several reasons."""
        refusals = [self._dialect.refusals[reason] for reason in candidate.reasons]
        word, status = string(read.values.get("reason")), read.values.get("status")
        return (
            candidate.template.roles.isdisjoint((Role.REASON, Role.STATUS))
            or any(each.word == word for each in refusals)
            or any(each.status == status for each in refusals)
        )

    def _denied(self, candidate: _Candidate, read: Read, data: bytes) -> Denied | None:
        """The reason by its word, else by a status that only one reason has, else by a form that only one has."""
        values, refusals = read.values, self._dialect.refusals
        payload: bytes = values.get(SPAN, data[: read.size])
        said = payload.hex() if has_status_bytes(candidate.template.message) else payload.decode(errors="replace")
        word, status = string(values.get("reason")), values.get("status")
        by_word = [reason for reason in candidate.reasons if refusals[reason].word == word]
        by_status = [reason for reason in candidate.reasons if refusals[reason].status == status]
        if candidate.template.roles.isdisjoint((Role.REASON, Role.STATUS)):
            by_word = list(candidate.reasons)
        reason = by_word[0] if len(by_word) == 1 else by_status[0] if len(by_status) == 1 else None
        if reason is None and not by_word and candidate.template.message.is_open:
            return None  # perhaps a token
        return Denied(reason, said)

    def _loosened(self) -> Iterator[Message]:
        """The frames of replies, with whatever numbers and payload."""
        data = self._dialect
        for message in (
            *(each.frame for each in data.refusals.values()),
            *(data.answer or {}).values(),
            *data.completion.values(),
        ):
            bare = unwrapped(message)
            if bare is not message:
                yield replace(bare, items=tuple(map(with_any_value, bare.items)))
