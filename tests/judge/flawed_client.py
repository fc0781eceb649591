"""A small chat client as other teams write it, with one flaw if its first argument names one. No tcrp is imported.

    flawed_client.py FLAW HOST TCP_PORT UDP_PORT ROOM NAME OPERATION

It speaks plain names (`text`), or name and port (`name-port`) for flaws that are about ports. Without a flaw it follows
the rules. `FLAWS` says which rule each flaw breaks.
"""

import os
import select
import socket
import sys
import threading
import time

FLAWS = {
    "chat_over_tcp": "R-TCP-1",
    "wrong_lengths": "R-TCP-2",
    "ignores_refusals": "R-TCP-2",
    "one_recv_is_one_frame": "R-TCP-3",
    "keeps_the_connection": "R-TCP-3",
    "no_timeout": "R-TCP-5",
    "speaks_before_it_joins": "R-TOK-2",
    "forgets_its_token": "R-TOK-2",
    "another_address": "R-TOK-3",
    "hears_at_the_first_port_only": "R-TOK-3",
    "keeps_alive_for_ever": "R-TOK-4",
    "announces_another_port": "R-ADDR-1",
    "announces_a_small_port": "R-ADDR-1",
    "wrong_datagram_lengths": "R-UDP-1",
    "sends_what_is_too_long": "R-UDP-1",
    "small_buffer": "R-UDP-2",
    "dies_on_bad_utf8": "R-UDP-3",
    "dies_on_rubbish": "R-UDP-3",
    "enters_once": "R-UDP-4",
    "one_thread": "R-REL-1",
    "sends_twice": "R-REL-1",
    "shows_the_latest_first": "R-REL-2",
    "hides_names": "R-REL-3",
    "ends_at_a_phrase": "R-REL-3",
    "takes_notices_as_talk": "R-END-1",
    "knows_one_notice": "R-END-1",
    "leaves_in_silence": "R-EXIT-1",
    "another_room_in_datagrams": "R-IDLE-2",
    "latin_1": "R-IDLE-2",
    "counts_characters": "R-NAME-1",
    "reads_without_end": "R-LIM-1",
    "shows_all": "R-SHOW-1",
}  # fmt: skip
WITH_PORT = ("announces_another_port", "announces_a_small_port", "hears_at_the_first_port_only")
ENDS = ("Room closed", "You were silent too long", "You were removed", "You joined from elsewhere", "Server shutdown")
IN_THE_ROOM_ONLY = (
    "forgets_its_token",
    "another_address",
    "keeps_alive_for_ever",
    "wrong_datagram_lengths",
    "sends_what_is_too_long",
    "small_buffer",
    "dies_on_bad_utf8",
    "dies_on_rubbish",
    "sends_twice",
    "shows_the_latest_first",
    "hides_names",
    "ends_at_a_phrase",
    "takes_notices_as_talk",
    "knows_one_notice",
    "leaves_in_silence",
    "another_room_in_datagrams",
    "latin_1",
    "shows_all",
)
"""Flaws that change nothing before the client has its token."""
LIMIT, TIMEOUT = 4096, 2.0


class Client:
    def __init__(
        self, flaw: str, host: str, tcp_port: str, udp_port: str, room: str, name: str, operation: str
    ) -> None:
        self.flaw, self.host = flaw, host
        self.server = host, int(udp_port)
        self.room, self.name = room.encode(), name.encode()
        self.operation = 1 if operation == "create" else 2
        self.token = b""
        self.over = False
        self.heard = False
        self.held: list[str] = []
        self.udp = self.listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.2" if flaw == "another_address" else "", 0))
        if flaw in ("announces_another_port", "hears_at_the_first_port_only"):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("", 0))
        self.announced = self.listener.getsockname()[1]
        if flaw == "announces_another_port":
            self.listener = self.udp
        if flaw == "announces_a_small_port":
            self.announced = 80

    # --- TCP

    def request(self, tcp: socket.socket) -> None:
        room, body = self.room, self.name
        if self.flaw in WITH_PORT:
            body += self.announced.to_bytes(2, "big")
        room_size = len(room.decode()) if self.flaw == "counts_characters" else len(room)
        size = len(body) + (7 if self.flaw == "wrong_lengths" else 0)
        tcp.sendall(bytes((room_size, self.operation, 0)) + size.to_bytes(29, "big") + room + body)

    def read(self, tcp: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = tcp.recv(size - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def frame(self, tcp: socket.socket) -> tuple[int, bytes]:
        if self.flaw == "one_recv_is_one_frame":
            data = tcp.recv(4096)
            if len(data) < 32:
                raise ConnectionError("short")
            return data[2], data[32 + data[0] :][: int.from_bytes(data[3:32], "big")]
        head = self.read(tcp, 32)
        size = int.from_bytes(head[3:], "big")
        if size > LIMIT:
            if self.flaw == "reads_without_end":
                while True:
                    tcp.settimeout(30)
                    self.read(tcp, 65536)
            raise ConnectionError("too long")
        room_size = 0 if self.flaw in WITH_PORT else head[0]  # that dialect leaves the room out
        return head[2], self.read(tcp, room_size + size)[room_size:]

    def enter(self, tcp_port: str) -> None:
        self.tcp = tcp = socket.create_connection((self.host, int(tcp_port)), timeout=5)
        if self.flaw != "no_timeout":
            tcp.settimeout(TIMEOUT)
        else:
            tcp.settimeout(None)
        self.request(tcp)
        if self.flaw == "speaks_before_it_joins":
            self.send("hello everybody")
        state, body = self.frame(tcp)
        if state != 1 or body not in (b"\0", b"OK"):
            print("refused:", body, flush=True)
            if self.flaw != "ignores_refusals":
                sys.exit(1)
        else:
            state, self.token = self.frame(tcp)
        if self.flaw == "chat_over_tcp":
            tcp.sendall(b"hello everybody")
        if self.flaw != "keeps_the_connection":
            tcp.close()

    # --- UDP

    def datagram(self, text: str) -> bytes:
        token = b"f" * 32 if self.flaw == "forgets_its_token" else self.token
        room = b"lobby" if self.flaw == "another_room_in_datagrams" else self.room
        data = text.encode("latin-1", "replace") if self.flaw == "latin_1" else text.encode()
        token_size = len(token) + (self.flaw == "wrong_datagram_lengths")
        return bytes((len(room), token_size)) + room + token + data

    def send(self, text: str) -> None:
        data = self.datagram(text)
        if len(data) > LIMIT and self.flaw != "sends_what_is_too_long":
            print("too long", flush=True)
            return
        self.udp.sendto(data, self.server)
        if self.flaw == "sends_twice" and text:
            self.udp.sendto(data, self.server)

    def announce(self) -> None:
        for pause in (0, 0.2, 0.4, 0.8):
            time.sleep(pause)
            if self.heard or self.over:
                return
            self.send("")
            if self.flaw == "enters_once":
                return

    def keep_alive(self) -> None:
        while self.flaw == "keeps_alive_for_ever" or not self.over:
            time.sleep(0.3)
            self.send("")

    def receive(self) -> None:
        while not self.over:
            data = self.listener.recv(1024 if self.flaw == "small_buffer" else 65536)
            self.heard = True
            try:
                self.show(data)
            except Exception:
                if self.flaw in ("dies_on_bad_utf8", "dies_on_rubbish"):
                    os._exit(1)

    def show(self, data: bytes) -> None:
        text = data.decode("utf-8", "strict" if self.flaw == "dies_on_bad_utf8" else "replace")
        if self.flaw == "dies_on_rubbish" and ": " not in text and " left " not in text and text not in ENDS:
            raise ValueError(text)
        ends = ENDS[:1] if self.flaw == "knows_one_notice" else ENDS
        if self.flaw == "ends_at_a_phrase":
            is_end = any(end in text for end in ends)
        else:
            is_end = text in ends and self.flaw != "takes_notices_as_talk"
        if is_end:
            self.over = True
            print("* the end:", text, flush=True)
            os._exit(0)
        if self.flaw != "shows_all":
            text = "".join(each if each.isprintable() else " " for each in text)
        if self.flaw == "hides_names":
            text = text.partition(": ")[2]
        if self.flaw != "shows_the_latest_first":
            print(text, flush=True)
            return
        self.held.append(text)
        while select.select([self.listener], [], [], 0.1)[0]:
            self.held.append(self.listener.recv(65536).decode(errors="replace"))
        for each in reversed(self.held):
            print("".join(c if c.isprintable() else " " for c in each), flush=True)
        self.held = []

    # --- the user

    def run(self) -> None:
        if self.flaw == "one_thread":
            self.one_thread()
            return
        for each in (self.announce, self.receive):
            if each != self.announce or self.flaw not in WITH_PORT:
                threading.Thread(target=each, daemon=True).start()
        if self.flaw == "keeps_alive_for_ever":
            threading.Thread(target=self.keep_alive, daemon=True).start()
        for line in map(str.rstrip, sys.stdin):
            if line == "exit":
                break
            self.send(line)
        self.over = True
        if self.flaw != "leaves_in_silence":
            self.send("exit")
        if self.flaw == "keeps_alive_for_ever":
            time.sleep(5)

    def one_thread(self) -> None:
        for _ in range(4):
            self.send("")
            time.sleep(0.2)
        for line in map(str.rstrip, sys.stdin):
            self.send(line)
            if line == "exit":
                return
            while select.select([self.udp], [], [], 0)[0]:
                self.show(self.udp.recv(65536))


def main() -> None:
    client = Client(*sys.argv[1:])
    try:
        client.enter(sys.argv[3])
    except (OSError, ValueError) as error:
        print("no session:", error, flush=True)
        sys.exit(1)
    client.run()


if __name__ == "__main__":
    main()
