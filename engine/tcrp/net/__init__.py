"""Real sockets. For bots: `async with tcrp.net.connect(host, room="lobby", name="bot") as chat: ...`."""

from tcrp.net.bot import Chat, Message, SessionOver, connect
from tcrp.net.client import Loss, RequestRefused, Unreachable

__all__ = ["Chat", "Loss", "Message", "RequestRefused", "SessionOver", "Unreachable", "connect"]
