"""A bot that repeats what other members say, until one of them says "enough".

chat-server &
python examples/echo_bot.py --room lobby
"""

from __future__ import annotations

import argparse
import asyncio

import tcrp.net


async def echo(host: str, tcp_port: int, udp_port: int, room: str, name: str) -> None:
    """Join `room` and repeat every text."""
    async with tcrp.net.connect(host, room=room, name=name, tcp_port=tcp_port, udp_port=udp_port) as chat:
        print(f"in {chat.room} as {chat.name}", flush=True)
        async for message in chat:
            print(f"{message.name}: {message.text}", flush=True)
            if message.text == "enough":
                await chat.say("as you like")
                break
            await chat.say(f"{message.name} said: {message.text}")
    if chat.why is not None:
        raise SystemExit(f"echo_bot: the session is over: {chat.why}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tcp-port", type=int, default=9002)
    parser.add_argument("--udp-port", type=int, default=9003)
    parser.add_argument("--room", default="lobby")
    parser.add_argument("--name", default="echo")
    options = parser.parse_args()
    try:
        asyncio.run(echo(options.host, options.tcp_port, options.udp_port, options.room, options.name))
    except tcrp.net.Unreachable as error:
        raise SystemExit(f"echo_bot: {error}") from None
    except tcrp.net.RequestRefused as refused:
        raise SystemExit(f"echo_bot: refused: {refused}") from None
    except tcrp.net.SessionOver as over:
        raise SystemExit(f"echo_bot: {over}") from None
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
