"""Real sockets. For bots: `async with tcrp.net.connect(host, room="lobby", name="bot") as chat: ...`."""

from tcrp.net.bot import Chat, Message, connect
from tcrp.net.client import RequestRefused, Unreachable

__all__ = ["Chat", "Message", "RequestRefused", "Unreachable", "connect"]
