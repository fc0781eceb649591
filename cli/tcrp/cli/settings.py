"""The server's settings: command line over TOML file over defaults, under the same names everywhere."""

from __future__ import annotations

import argparse
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcrp.cli.cluster import check_cluster_option
from tcrp.cli.exits import UsageError
from tcrp.cli.listen import (
    EXAMPLE,
    KEYS,
    ListenSettings,
    from_options,
    from_tables,
    parse_port,
    parse_text,
    read_listeners,
)
from tcrp.spec.dialects import NAMES
from tcrp.spec.durations import write_duration
from tcrp.spec.limits import PORT_MAX, SETTINGS, Limits, Setting, Unit, parse_setting, write_setting

AUTO = "auto"
LOG_FORMATS = ("text", "json")
SWITCH = ("no", "yes")


@dataclass(frozen=True, slots=True)
class ServerOption:
    """A setting that is not a limit of the protocol. `default` is in its written form."""

    default: str | int | None
    help: str
    choices: tuple[str, ...] = ()
    is_port: bool = False
    is_switch: bool = False  # the option alone says yes


OPTIONS: Mapping[str, ServerOption] = {
    "host": ServerOption("127.0.0.1", "address to serve on; 0.0.0.0 or :: for all"),
    "tcp_port": ServerOption(9002, "TCP port for requests; 0 picks a free one", is_port=True),
    "udp_port": ServerOption(9003, "UDP port for chat traffic; 0 picks a free one", is_port=True),
    "dialect": ServerOption(
        AUTO, f"auto recognises the dialect of each request; or one of {', '.join(NAMES)}; or a TOML file"
    ),
    "trace": ServerOption(None, "file to write every step of every state machine to; it grows with the traffic"),
    "log_format": ServerOption("text", "format of the log on stderr", LOG_FORMATS),
    "metrics_port": ServerOption(None, "loopback port for Prometheus; 0 picks a free one", is_port=True),
    "watch": ServerOption(
        None,
        "loopback address for a page that shows the machines as they move, such as 127.0.0.1:8080",
    ),
    "watch_texts": ServerOption("no", "show the texts on that page too", SWITCH, is_switch=True),
    "cluster": ServerOption(
        None, "NATS server, such as nats://127.0.0.1:4222, by which several servers share their rooms"
    ),
    "cluster_name": ServerOption("tcrp", "name of the cluster, and of its bucket at NATS"),
    "cluster_lease": ServerOption("5s", "how soon others go on with the rooms of a server that is lost; 1s to 1m"),
    "cluster_credentials": ServerOption(None, "file for NATS: .creds, or a line user:password, or a token"),
    "cluster_ca": ServerOption(None, "certificates of authorities that NATS's is checked with (TLS)"),
    "cluster_cert": ServerOption(None, "this server's certificate for NATS"),
    "cluster_key": ServerOption(None, "the key of that certificate"),
    "node": ServerOption(None, "name of this server in the cluster; without one: the machine's name and the TCP port"),
    "control": ServerOption(None, "Unix socket to make for `chat-server ctl`; only the server's own user may use it"),
}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """All settings of a server. `dialect` is a name or a path, not yet read."""

    host: str
    tcp_port: int
    udp_port: int
    dialect: str
    trace: str | None
    log_format: str
    metrics_port: int | None
    watch: str | None
    watch_texts: str
    cluster: str | None
    cluster_name: str
    cluster_lease: str
    cluster_credentials: str | None
    cluster_ca: str | None
    cluster_cert: str | None
    cluster_key: str | None
    node: str | None
    control: str | None
    limits: Limits
    listen: tuple[ListenSettings, ...] = ()
    """Several listeners; without any, `host`, the ports and `dialect` are those of the only one."""

    def run_options(self) -> dict[str, str | int | None]:
        """The settings that are not limits, but for `listen`."""
        return {name: getattr(self, name) for name in OPTIONS}


# --- as options ----------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for every setting: `--idle-timeout` for `idle_timeout`."""
    for name, option in OPTIONS.items():
        default = "" if option.default is None else f" ({option.default})"
        metavar = "|".join(option.choices) or ("PORT" if option.is_port else name.upper())
        alone: dict[str, Any] = {"nargs": "?", "const": SWITCH[1]} if option.is_switch else {}
        if name == "dialect":
            alone = {"action": _OneDialect}
        parser.add_argument(_option(name), dest=name, metavar=metavar, help=f"{option.help}{default}", **alone)
    parser.add_argument(
        "--listen",
        action="append",
        metavar="tcp=PORT,udp=PORT,…",
        help="one of several listeners, whose members share rooms; also with address=, name= and, once or more often, "
        f"dialect=: {EXAMPLE}. In place of --tcp-port and --udp-port",
    )
    limits = parser.add_argument_group("limits and timeouts of the protocol")
    for name, setting in SETTINGS.items():
        metavar = "|".join(setting.choices) or ("TIME" if setting.unit is Unit.DURATION else "N")
        help = f"{setting.help} ({write_setting(name, Limits())})"
        limits.add_argument(_option(name), dest=name, metavar=metavar, help=help)


class _OneDialect(argparse.Action):
    """Refuses a second one: who wants several has to say for which ports."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: object, option: object = None) -> None:
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "given twice; a listener of several dialects is a --listen, as "
                                         "tcp=9002,udp=9003,dialect=text,dialect=json")  # fmt: skip
        setattr(namespace, self.dest, values)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def with_dashes(arguments: Sequence[str]) -> list[str]:
    """The arguments with options in dashes: `--idle_timeout` becomes `--idle-timeout`."""
    return [
        "--" + word[2:].partition("=")[0].replace("_", "-") + "".join(word.partition("=")[1:])
        if word.startswith("--")
        else word
        for word in arguments
    ]


# --- from file and options -----------------------------------------------------------------------


def read_settings(options: argparse.Namespace, config: str | None) -> ServerSettings:
    """The settings: options over the file `config` over defaults.

    Raises `UsageError` naming the key, the value and what is allowed.
    """
    given: dict[str, tuple[object, str]] = {}
    if config is not None:
        given.update({name: (value, f"{config}: ") for name, value in _read_toml(config).items()})
    tables = given.pop("listen", None)
    listen = from_tables(tables[0], str(config)) if tables is not None else []
    if listen:
        _refuse_ports(given, "the tables [[listen]]")
    for name in (*OPTIONS, *SETTINGS):
        value = getattr(options, name)
        if value is not None:
            given[name] = value, ""
    if options.listen:
        listen = from_options(options.listen)
    if listen:
        own = {name: each for name, each in given.items() if not each[1] or not options.listen}
        _refuse_ports(own, "--listen" if options.listen else "the tables [[listen]]")
    run_options: dict[str, Any] = {name: option.default for name, option in OPTIONS.items()}
    limits: dict[str, int | str] = {}
    for name, (value, where) in given.items():
        try:
            if name in SETTINGS:
                limits[name] = parse_setting(name, value)
            else:
                run_options[name] = _parse_option(name, value)
        except ValueError as error:
            raise UsageError(f"{where}{error}") from None
    listeners = read_listeners(listen, run_options["host"], run_options["dialect"])
    return ServerSettings(**run_options, limits=Limits().with_settings(limits), listen=listeners)


def _refuse_ports(given: Mapping[str, tuple[object, str]], beside: str) -> None:
    """Ports of an only listener do not go with several. Raises `UsageError`."""
    for name in ("tcp_port", "udp_port"):
        if name in given:
            where = given[name][1] or f"{_option(name)}: "
            raise UsageError(f"{where}{name} does not go with {beside}, which say the ports; give them there")


def parse_watch(value: str) -> tuple[str, int]:
    """Address and port of the live view, which is for this machine only. Raises `ValueError`."""
    from ipaddress import ip_address  # only who watches needs it

    host, _, port = value.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    try:
        is_loopback = ip_address("127.0.0.1" if host == "localhost" else host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"watch is {value!r}; only a loopback address is allowed, such as 127.0.0.1:8080")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) <= PORT_MAX):
        raise ValueError(f"watch is {value!r}; it ends with a port, 0 to {PORT_MAX}, such as 127.0.0.1:8080")
    return ("127.0.0.1" if host == "localhost" else host), int(port)


def _read_toml(config: str) -> dict[str, object]:
    if not config:
        raise UsageError("--config is empty; the name of a TOML file is expected")
    try:
        table: dict[str, object] = tomllib.loads(Path(config).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{config}: cannot read the file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{config}: not valid UTF-8") from None
    except ValueError as error:  # besides TOMLDecodeError: a number of more digits than Python reads
        raise UsageError(f"{config}: not valid TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{config}: not valid TOML: nested too deeply") from None
    known = [*OPTIONS, "listen", *SETTINGS]
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else "chat-server --print-config shows all of them"
            raise UsageError(f"{config}: there is no setting named {name!r}; {hint}")
    return table


def _parse_option(name: str, value: object) -> str | int:
    """Check and convert the value of an option. Raises `ValueError`."""
    option = OPTIONS[name]
    if option.is_port:
        return parse_port(name, value)
    if option.is_switch and isinstance(value, bool):
        return SWITCH[value]
    value = parse_text(name, value)
    if name == "watch":
        parse_watch(value)
    if name == "node" or name.startswith("cluster"):
        check_cluster_option(name, value)
    if name == "trace" and value == "-":
        raise ValueError("trace is '-', but a server writes no trace to standard output; name a file (./- is one)")
    if option.choices and value not in option.choices:
        raise ValueError(f"{name} is {value!r}; allowed are {', '.join(option.choices)}")
    return value


# --- as a TOML file ------------------------------------------------------------------------------


def print_config(settings: ServerSettings) -> None:
    """Print the settings as a commented TOML file."""
    print("# chat-server --config FILE reads this; an option of the same name overrides it.")
    print("# SIGHUP makes the server read the limits again; the rest needs a restart.\n")
    for name, value in settings.run_options().items():
        _print_comment(OPTIONS[name].help)
        is_left_out = value is None or (settings.listen and name in ("tcp_port", "udp_port"))
        print(f"# {name} =\n" if is_left_out else f"{name} = {_toml(value)}\n")
    print("# --- limits and timeouts of the protocol\n")
    for name, setting in SETTINGS.items():
        _print_comment(f"{setting.help}: {_allowed(setting)}")
        written = write_setting(name, settings.limits)
        print(f"{name} = {written if setting.unit in (Unit.COUNT, Unit.BYTES) else _toml(written)}\n")
    _print_listeners(settings.listen)


def _print_listeners(listeners: tuple[ListenSettings, ...]) -> None:
    """Tables come last: in TOML every key below them is theirs."""
    print("# --- several listeners, whose members share rooms; in place of tcp_port and udp_port\n")
    print(f"# Keys: {', '.join(KEYS)}. dialect may be a list, which is recognised in its order.")
    if not listeners:
        print('# [[listen]]\n# tcp = 8000\n# udp = 8001\n# dialect = "name-port"')
    for each in listeners:
        print("[[listen]]")
        for key, value in each.table().items():
            print(f"{key} = {_toml(value)}")
        print()


def _print_comment(text: str) -> None:
    print(f"# {text}")


def _allowed(setting: Setting) -> str:
    if setting.choices:
        return " or ".join(setting.choices)
    if setting.unit is Unit.DURATION:
        return f"{write_duration(setting.least)} to {write_duration(setting.most)}"
    return f"{setting.least} to {setting.most}"


def _toml(value: str | int | list[str] | None) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int):
        return str(value)
    escaped = "".join(
        {"\\": "\\\\", '"': '\\"'}.get(character, character) if character.isprintable() else f"\\U{ord(character):08X}"
        for character in value or ""
    )
    return f'"{escaped}"'
