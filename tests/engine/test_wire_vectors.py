"""The further captured conversations, byte for byte: what was sent is written, and what was received is read."""

from __future__ import annotations

import pytest

from interop.forms import CREATE, JOIN, Form
from interop.test_captures import Captured, asks, name_of, ports_of_requests, users_of
from interop.wire_forms import WIRE
from tcrp.engine.codec import codec
from tcrp.engine.meanings import Accepted, Asked, Completed, Reply
from tcrp.spec.names import Operation

OPERATIONS = {CREATE: Operation.CREATE, JOIN: Operation.JOIN}
ANYWHERE = ("state-length31",)  # its requests name this address instead of the client's own


@pytest.mark.parametrize("form", WIRE, ids=name_of)
def test_our_client_asks_as_the_captured_one_and_our_server_reads_it(form: Form) -> None:
    capture, speaks = Captured(form), codec(form.name)
    for asked in users_of(form):
        asked.port = ports_of_requests(capture, form, asked)
        data = asks(form, asked, asked.port)
        ip, port = ("0.0.0.0", 9001) if form.name in ANYWHERE else ("127.0.0.1", asked.port)  # noqa: S104
        written = speaks.write_request(
            OPERATIONS[asked.op], asked.room.encode(), asked.user, asked.password, ip, port
        )  # fmt: skip
        assert written == data
        read = speaks.read_request(data)
        assert isinstance(read, Asked)
        assert read.request is not None
        assert (read.request.name, read.request.password) == (asked.user.encode(), asked.password)


@pytest.mark.parametrize("form", WIRE, ids=name_of)
def test_our_client_reads_the_captured_replies(form: Form) -> None:
    capture, speaks = Captured(form), codec(form.name)
    for asked in users_of(form):
        asked.port = ports_of_requests(capture, form, asked)
        token = form.new_token()
        data = b"".join([form.greeting, *form.granted(asked, token)])
        greeted = speaks.read_greeting(data)
        assert isinstance(greeted, int)
        data = data[greeted:]
        said: list[object] = []
        while data:
            reply = speaks.read_reply(data, OPERATIONS[asked.op], is_over=True, is_accepted=bool(said))
            assert isinstance(reply, Reply)
            said.append(reply.says)
            data = data[reply.size :]
        assert said[-1] == Completed(token.encode())
        assert said[:-1] in ([], [Accepted()])


@pytest.mark.parametrize("form", [form for form in WIRE if "datagrams" not in form.unseen], ids=name_of)
def test_our_client_reads_the_captured_relays(form: Form) -> None:
    capture, speaks = Captured(form), codec(form.name)
    own = form.relays_from_any_port  # there the server's port is as high as a client's
    whole = {each.data for each in capture.datagrams if (each.is_servers or own) and not each.is_cut}
    relays = {relayed for data in whole if (relayed := speaks.read_relay(data)) is not None}
    assert {"hi from bob", "日本語メッセージ"} <= {relayed.text for relayed in relays}
    [greeting] = [relayed for relayed in relays if relayed.text == "hi from bob"]
    assert greeting.name in ("bob", "")
