"""`chat-sim conform server` and `client`: judge a running server, or a client, by the rules of the protocol.

Exit code 0: no rule is broken; 1: one is; 2: it could not be tested.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, OutputLost, UsageError, complain
from tcrp.cli.output import utf8_stdout

if TYPE_CHECKING:
    from tcrp.engine.codec import Codec
    from tcrp.judge.record import Waits
    from tcrp.judge.verdicts import Judgement
    from tcrp.live.conform_ground import LiveGround

PROGRAM = "chat-sim conform"
AUTO = "auto"
TCP_PORT, UDP_PORT = 9002, 9003
FORMATS = ("table", "json", "junit", "html")


def add_conform(commands: Any) -> None:
    """Add `conform` to the commands of `chat-sim`."""
    conform = commands.add_parser("conform", help="judge a server or a client, ours or another, by the rules")
    kinds = conform.add_subparsers(title="what to judge", required=True, metavar="server|client")
    server = kinds.add_parser(
        "server",
        help="play clients against a running server",
        description="Plays clients against a running server and says for each rule of the protocol whether it holds, "
        "is broken or was not tested. Exit code 0: no rule is broken; 1: one is; 2: it could not be tested.",
    )
    server.add_argument("host", metavar="HOST", help="where the server is: 127.0.0.1")
    server.add_argument("--tcp-port", type=_port, default=TCP_PORT, metavar="P", help=f"for requests ({TCP_PORT})")
    server.add_argument("--udp-port", type=_port, default=UDP_PORT, metavar="P", help=f"for chat ({UDP_PORT})")
    server.add_argument(
        "--dialect", default="auto", metavar="NAME|FILE", help="the dialect to speak (auto: finds one that fits)"
    )
    server.add_argument(
        "--patience", metavar="TIME", help="longer than the server's timeouts: what outlives it is broken (12s, and "
        "then it is not tested)",
    )  # fmt: skip
    server.add_argument("--hostile", action="store_true", help="at the end, also send what no client would")
    server.add_argument("--load", action="store_true", help="also 1000 members in one room, and 50 rooms at once")
    server.add_argument(
        "--yes-this-is-my-server", action="store_true", help="judge a server that is not on this machine's loopback"
    )
    server.add_argument("--format", choices=FORMATS, default="table", help="what to print (table)")
    server.add_argument("--badge", metavar="FILE", help="also write an SVG badge there")
    server.set_defaults(command=_server)
    _add_client(kinds)


def _add_client(kinds: Any) -> None:
    client = kinds.add_parser(
        "client",
        help="start a client under a terminal, and play its server",
        usage="%(prog)s [OPTION…] -- COMMAND [ARGUMENT…]",
        description="Starts a client under a pseudo-terminal, several times, plays its server, and says for each rule "
        "that concerns clients whether it holds, is broken or was not tested. In COMMAND, {host} {tcp_port} {udp_port} "
        "{room} {name} {operation} stand for what the judge chooses; without {tcp_port} the client is expected at "
        "--tcp-port and --udp-port. Exit code 0: no rule is broken; 1: one is; 2: it could not be tested.",
    )
    client.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="COMMAND", help="the client and its arguments, behind --"
    )
    client.add_argument(
        "--script", metavar="NAME|FILE", help="how its questions are answered (default; chat-client for that program)"
    )
    client.add_argument("--print-script", action="store_true", help="print that script, to start from, and end")
    client.add_argument("--tcp-port", type=_port, metavar="P", help=f"where the client asks ({TCP_PORT}, see above)")
    client.add_argument("--udp-port", type=_port, metavar="P", help=f"where it sends chat ({UDP_PORT}, see above)")
    client.add_argument("--dialect", default=AUTO, metavar="NAME|FILE", help="its dialect (auto: known by its request)")
    client.add_argument(
        "--patience", metavar="TIME", help="longer than the client's timeouts: what outlives it is broken"
    )
    client.add_argument(
        "--at-a-time",
        type=_count,
        default=4,
        metavar="N",
        help="so many runs of the client at once, if ports allow (4)",
    )
    client.add_argument("--format", choices=FORMATS, default="table", help="what to print (table)")
    client.add_argument("--badge", metavar="FILE", help="also write an SVG badge there")
    client.set_defaults(command=_client)


def _count(word: str) -> int:
    if not (word.isascii() and word.isdigit() and 0 < int(word) <= 64):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number from 1 to 64")
    return int(word)


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and 0 < int(word) < 65536):
        raise argparse.ArgumentTypeError(f"{word!r} is no port: 1 to 65535")
    return int(word)


def _server(options: argparse.Namespace) -> int:
    from tcrp.cli.dialects import dialect_named
    from tcrp.judge.suite import probes
    from tcrp.live.conform_ground import LiveGround
    from tcrp.live.conform_server import CannotJudge, is_loopback, judge_server, resolve
    from tcrp.spec.dialects import RelayFrom

    named = None if options.dialect == AUTO else dialect_named(options.dialect)
    waits = _waits(options.patience)
    subject = f"{options.host}, TCP {options.tcp_port}, UDP {options.udp_port}"
    try:
        ip = resolve(options.host)
        if not is_loopback(ip) and not options.yes_this_is_my_server:
            raise UsageError(
                f"{options.host} is not this machine's loopback. Judge only servers of your own; if it is one, add "
                "--yes-this-is-my-server"
            )
        chosen = probes(is_hostile=options.hostile, is_loaded=options.load)
        codec = named or _discovered(LiveGround(ip, options.tcp_port, options.udp_port, any_port=True), subject)
        if codec is None:
            return CANNOT

        async def judged() -> Judgement:
            any_port = codec.dialect.relay_from is RelayFrom.ANY_PORT
            ground = LiveGround(ip, options.tcp_port, options.udp_port, any_port=any_port)
            with _progress(len(chosen)) as progress:
                return await judge_server(ground, codec, waits, chosen, subject, progress)

        import asyncio  # late: every command of chat-sim loads this module

        judgement = asyncio.run(judged())
    except CannotJudge as error:
        complain(PROGRAM, str(error))
        return CANNOT
    except OSError as error:
        complain(PROGRAM, f"{subject}: {error.strerror or error}")
        return CANNOT
    return report(judgement, waits, options.format, options.badge)


def _client(options: argparse.Namespace) -> int:
    from tcrp.judge.client_script import ScenarioError, script_named

    command: list[str] = options.words[options.words[:1] == ["--"] :]
    is_ours = bool(command) and Path(command[0]).name == "chat-client"
    named = options.script or ("chat-client" if is_ours else "default")
    try:
        script = script_named(named)
    except ScenarioError as error:
        raise UsageError(str(error)) from None
    if options.print_script:
        utf8_stdout()
        print(script.text, end="")
        return HOLDS
    if not command:
        raise UsageError(
            "which client? Write its command behind --, as in: chat-sim conform client -- python3 client.py"
        )
    try:
        from tcrp.live.conform_client import LiveClientGround, end_strays
    except ImportError as error:
        from tcrp.live.extras import missing

        raise UsageError(missing("judging clients", str(error.name), "judge")) from None
    from tcrp.cli.dialects import dialect_named
    from tcrp.engine.codec import codec
    from tcrp.judge.client_ground import CannotStart
    from tcrp.judge.client_stage import CannotJudge
    from tcrp.judge.client_suite import ALONE, CHAT, ClientRunner
    from tcrp.spec.dialects import SHIPPED

    codecs = [codec(name) for name in SHIPPED] if options.dialect == AUTO else [dialect_named(options.dialect)]
    waits = _waits(options.patience)
    is_free = any("{tcp_port}" in word for word in [*command, *(step.what for step in script.enter)])
    tcp, udp = options.tcp_port or (0 if is_free else TCP_PORT), options.udp_port or (0 if is_free else UDP_PORT)

    async def judged() -> Judgement:
        ground = LiveClientGround(tcp, udp, options.at_a_time if not (tcp or udp) else 1)
        with _progress(1 + len(CHAT) + len(ALONE)) as progress:
            runner = ClientRunner(ground, codecs, waits, script, command, progress)
            try:
                return await runner.run(" ".join(command))
            finally:
                end_strays(ground.nonce)

    import asyncio

    try:
        judgement = asyncio.run(judged())
    except (CannotJudge, CannotStart) as error:
        complain(PROGRAM, f"{' '.join(command)}: {error}")
        return CANNOT
    return report(judgement, waits, options.format, options.badge)


def _discovered(ground: LiveGround, subject: str) -> Codec | None:
    """The dialect that fits a server; None, with a report and a file to start from, where none does."""
    import asyncio

    from tcrp.engine.codec import codec
    from tcrp.judge.discovery import description
    from tcrp.live.conform_server import discovered
    from tcrp.spec.dialects import SHIPPED

    fits, guess = asyncio.run(discovered(ground, [codec(name) for name in SHIPPED], subject))
    whole = [fit.codec.dialect.name for fit in fits if fit.is_whole]
    if whole:
        others = f"; so do {', '.join(whole[1:])}" if len(whole) > 1 else ""
        print(f"Dialect {whole[0]} fits{others}.", file=sys.stderr)
        return fits[0].codec
    best = fits[0]
    path = _free(Path("discovered.toml"))
    complain(PROGRAM, f"{subject}: none of {len(fits)} dialects fits. The nearest is {best.codec.dialect.name}:")
    for what, how in best.fields:
        print(f"    {what:<8} {how}", file=sys.stderr)
    if guess is not None:
        print("From what it answers, this is guessed:", file=sys.stderr)
        for what, how in guess.fields:
            print(f"    {what:<8} {how}", file=sys.stderr)
    try:
        path.write_text(description(best, guess, path.stem), encoding="utf-8")
    except OSError as error:
        raise OutputLost(f"{path}: a description to start from cannot be written: {error.strerror}") from None
    print(f"{path} describes it as far as it was seen: correct it, and judge with --dialect {path}", file=sys.stderr)
    return None


def _free(path: Path) -> Path:
    """This path, or the first with a number that does not exist yet."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return path if not path.exists() else next(each for each in numbered if not each.exists())


def _waits(patience: str | None) -> Waits:
    from tcrp.judge.record import Waits
    from tcrp.spec.durations import parse_duration

    if patience is None:
        return Waits()
    try:
        return Waits(patience_us=parse_duration(patience), patience_is_given=True)
    except ValueError as error:
        raise UsageError(f"--patience: {error}") from None


def _progress(total: int) -> AbstractContextManager[Any]:
    """Shows on a terminal which probe runs; called with its name."""
    if not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    from tcrp.cli.conform_report import Progress

    return Progress(total)


def report(judgement: Judgement, waits: Waits, form: str, badge: str | None) -> int:
    """Print a judgement; write its badge; the exit code."""
    if badge is not None:
        from tcrp.cli.conform_html import badge as draw

        try:
            Path(badge).write_text(draw(judgement), encoding="utf-8")
        except OSError as error:
            raise OutputLost(f"{badge}: the badge cannot be written: {error.strerror}") from None
    _print(judgement, waits, form)
    if judgement.is_broken:
        return DOES_NOT_HOLD
    return HOLDS if judgement.is_conclusive else CANNOT


def _print(judgement: Judgement, waits: Waits, form: str) -> None:
    from tcrp.cli import conform_report

    if form == "table":
        conform_report.print_report(judgement, waits)
        return
    utf8_stdout()
    if form == "html":
        from tcrp.cli.conform_html import as_html

        print(as_html(judgement, waits))
    elif form == "json":
        print(conform_report.as_json(judgement, waits))
    else:
        print(conform_report.as_junit(judgement))
