"""Checks the documents against the code: runs their commands and examples, follows their links.

A fenced block may name a file after its language (```yaml mine.yaml); the file is written before the
document's commands run. Commands run in order, in one folder for each document. The expected exit code is
0 unless the line says `# exit code N`. A ```text block after commands is part of their output.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from processes import BIN, PATIENCE, LiveServer, Peer, live_server, until
from tcrp.cli.sim import SWARM_RUNS
from tcrp.cli.swarm import ENOUGH_RUNS
from tcrp.cluster.outputs import What
from tcrp.live.socket_support import PATIENCE_US
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec import dialects
from tcrp.spec.names import HandshakeEvent, RoomEvent, SessionEvent
from tcrp.spec.render import TABLES
from terminal import Terminal

ROOT = Path(__file__).parents[2]
LINKS_ONLY = {
    "mutants.md": "for contributors; its commands take hours, and tests/tools reads its list",
    "scenarios.md": "generated, and its examples have their own tests",
    "dialect-format.md": "generated, and its examples have their own tests",
    "trace-records.md": "generated, and its examples have their own tests",
}
"""Documents of which only the links are checked, and why."""
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "README.ja.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in LINKS_ONLY),
]
OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs" / name for name in LINKS_ONLY)]
LINKED = [*DOCUMENTS, *(path for path in OTHERS if path.exists())]
FEW_SCENARIOS = 3
"""So many of the shortest stand in `sim/scenarios` while commands run; tests/sim/test_scenarios.py runs all of them."""

NOT_RUN = {
    "make demo": "sets up an environment; .ci/run does it in a fresh clone",
    "chat-sim coverage": "is 1 unless all scenarios are there; tests/sim/test_scenarios.py runs it over all of them",
    "make bench": "takes minutes and a C compiler",
    ". .venv/bin/activate": "changes the reader's shell",
    "sudo ": "changes the system; tests/deploy checks the unit",
    "/opt/tcrp/bin/chat-server --print-config | sudo": "changes the system",
    "chat-sim step": "needs a terminal; tests/cli/test_step.py steps through scenarios",
    "tcpdump ": "captures the network; tests/judge/film.py makes captures",
    "chat-sim judge": "needs such a capture; tests/judge/test_recorded.py judges some",
    "chat-sim conform": "judges a server for a quarter of a minute; tests/cli/test_conform.py does it",
    "tshark ": "need not be installed; tests/view/test_wireshark.py uses it",
    "dask ": "runs until it is stopped; tests/cli/test_dask_workers.py starts scheduler and workers",
    "chat-sim swarm --dask": "needs them",
    "nats-server ": "runs until it is stopped; tests/net/test_cluster.py starts one",
    "chat-server --cluster": "needs it",
    "chat-client --name ann --create lobby --tcp-port 9002": "needs such servers",
    "chat-client --name bob --join lobby --tcp-port 9102": "needs such servers",
    "docker ": "needs Docker and the network; tests/deploy checks the Dockerfile",
}
"""Commands that are not executed, by their beginning, and why."""

FENCE = re.compile(r"^```([a-z]*)(?: ([^\n`]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
EXIT_CODE = re.compile(r"# .*?(?:exit code|終了コード) (\d+)")
CONNECTS = 'connect("127.0.0.1",'
FEW_RUNS = 5
HOST_IS_ASKED = ("again to leave", "退室するならもう一度")
"""What chat-client asks a host in whose room others may be, before it leaves."""


def is_host_asked(lines: list[str]) -> bool:
    """Whether the question is on the screen, wherever its lines are wrapped."""
    shown = "".join("".join(lines).split())
    return any("".join(words.split()) in shown for words in HOST_IS_ASKED)


ENGLISH = {3: "three", 7: "seven", 8: "eight", 10: "ten"}
JAPANESE = {3: "三つ", 7: "七つ", 8: "八つ"}
"""Numbers as the documents write them."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a document."""

    language: str
    file: str
    text: str


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [Block(*(group or "" for group in match.groups())) for match in FENCE.finditer(text)]


def commands(block: Block) -> list[str]:
    """The lines of a ```sh block that are commands."""
    return [line for line in block.text.splitlines() if line.strip() and not line.startswith("#")]


def code_of(document: Path) -> str:
    """Fenced blocks and words in backticks."""
    text = document.read_text(encoding="utf-8")
    return "\n".join([*(block.text for block in blocks(document)), *re.findall(r"`[^`\n]+`", text)])


def without_comment(line: str) -> str:
    return re.sub(r"\s+#.*$", "", line)


def is_run(command: str) -> bool:
    return not command.startswith(tuple(NOT_RUN))


# --- running the examples ------------------------------------------------------------------------


@dataclass
class Shell:
    """Runs the commands of one document in a folder that holds parts of a clone."""

    folder: Path
    server: LiveServer | None = None
    terminals: list[Terminal] = field(default_factory=list)
    language: str = "C.UTF-8"
    output: str = ""

    def execute(self, line: str) -> None:
        """Run one command; its exit code is the documented one."""
        code = int(found[1]) if (found := EXIT_CODE.search(line)) else 0
        command = without_comment(line)
        words = shlex.split(command)
        serves = words[0] == "chat-server" and not {"--print-config", "--print-dialect"} & set(words)
        if serves:
            self._start_server(words[1:])
        elif "chat-client" in command and "--plain" not in words:
            self._start_client(words)
        else:
            self._run(command, code)

    def _start_server(self, options: list[str]) -> None:
        """Start a server on free ports; it replaces the server before it."""
        self.stop()
        listen = [options[at + 1] for at, each in enumerate(options) if each == "--listen"]
        others = [each for each in options if each != "--listen" and each not in listen]
        free = tuple(re.sub(r"(tcp|udp)=\d+", r"\1=0", each) for each in listen)
        self.server = LiveServer(
            *[str(self.folder / each) if each.endswith(".toml") else each for each in others], listen=free
        )

    def _start_client(self, words: list[str]) -> None:
        """Start a client on a terminal; it runs until the server is replaced or the document ends."""
        assert self.server is not None, "a document starts a server before its clients"
        env = {"LANG": self.language}
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            env[name] = value
        options = [str(self.folder / each) if each.endswith(".toml") else each for each in words[1:]]
        terminal = Terminal("chat-client", *self._ports(), *options, env=env)
        self.terminals.append(terminal)
        if "--name" in words:
            assert terminal.shows("/help")  # in the first line in the room, in any language
            assert terminal.shows(">")  # the prompt
        else:
            assert terminal.shows("名前" if "ja" in env["LANG"] else "name")

    def _run(self, command: str, code: int) -> None:
        if command.startswith("python "):
            self._use_ports(self.folder / command.split()[1])
        if "chat-client" in command:
            command = command.replace("chat-client", shlex.join(["chat-client", *self._ports()]))
        done = subprocess.run(
            ["sh", "-c", smaller(command)], cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "LANG": self.language, "LC_ALL": ""},
        )  # fmt: skip
        assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
        self.output += done.stdout

    def _use_ports(self, program: Path) -> None:
        """Let a bot that the document shows find the server, whose ports differ from the documented ones."""
        source = program.read_text(encoding="utf-8")
        if CONNECTS in source:
            assert self.server is not None, "a document starts a server before its bots"
            ports = f"tcp_port={self.server.tcp}, udp_port={self.server.udp}"
            program.write_text(source.replace(CONNECTS, f"{CONNECTS} {ports},"), encoding="utf-8")

    def _ports(self) -> list[str]:
        assert self.server is not None, "a document starts a server before its clients"
        return ["--tcp-port", str(self.server.tcp), "--udp-port", str(self.server.udp)]

    def stop(self) -> None:
        """Stop clients and server; each must exit with 0."""
        for terminal in reversed(self.terminals):
            terminal.types("\x04")
            until(
                lambda terminal=terminal: terminal.process.poll() is not None or is_host_asked(terminal.lines),
                "its end, or its question",
            )
            if terminal.process.poll() is None:
                terminal.types("\x04")
            assert terminal.ends() == 0
            terminal.close()
        self.terminals.clear()
        if self.server is not None:
            assert self.server.stop() == 0
            assert "internal_error" not in self.server.log()
            self.server.close()
            self.server = None

    def close(self) -> None:
        for terminal in self.terminals:
            terminal.close()
        if self.server is not None:
            self.server.close()


def smaller(command: str) -> str:
    """The same command with fewer random scenarios or less time."""
    if not command.startswith("chat-sim swarm"):
        return command
    command = re.sub(r"--runs \d+", f"--runs {FEW_RUNS}", command)
    command = re.sub(r"--for \w+", "--for 1s", command)
    return command if "--runs" in command or "--for" in command else f"{command} --runs {FEW_RUNS}"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    for name in ("examples", "spec", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "sim" / "scenarios").mkdir(parents=True)
    scenarios = sorted((ROOT / "sim" / "scenarios").glob("*.yaml"), key=lambda path: (path.stat().st_size, path.name))
    for scenario in scenarios[:FEW_SCENARIOS]:
        shutil.copy(scenario, tmp_path / "sim" / "scenarios")
    shell = Shell(tmp_path)
    yield shell
    shell.close()


# The Japanese README has the very commands of the English one, which a test below compares.
@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each.name != "README.ja.md"], ids=relative)
def test_the_commands_of_a_document_exit_as_documented(document: Path, shell: Shell) -> None:
    shown = blocks(document)
    if document.name.endswith(".ja.md"):
        shell.language = "ja_JP.UTF-8"
    for block in shown:
        if block.file and not (shell.folder / block.file).exists():
            (shell.folder / block.file).write_text(block.text, encoding="utf-8")
    for block in shown:
        if block.language == "sh":
            shell.output = ""
            for line in filter(is_run, commands(block)):
                shell.execute(line)
        elif block.language == "text":
            for line in block.text.splitlines():
                assert line in shell.output.splitlines()
    shell.stop()


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_a_block_has_a_language_and_an_example_names_its_file(document: Path) -> None:
    for block in blocks(document):
        assert block.language in ("sh", "text", "screen", "yaml", "toml", "python", "json", "hex"), block
        assert block.language in ("sh", "text", "screen", "hex") or block.file, block


def test_every_command_that_is_not_executed_is_still_documented() -> None:
    shown = [
        line
        for document in DOCUMENTS
        for block in blocks(document)
        if block.language == "sh"
        for line in commands(block)
    ]
    for beginning in NOT_RUN:
        assert any(line.startswith(beginning) for line in shown), f"no document shows {beginning!r} any more"


def test_every_documented_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {target for document in LINKED for target in re.findall(r"\bmake ([a-z-]+)", code_of(document))}
    assert "demo" in named
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_an_example_named_after_a_file_equals_that_file(document: Path) -> None:
    for block in blocks(document):
        if block.file and (ROOT / block.file).exists():
            assert block.text == (ROOT / block.file).read_text(encoding="utf-8")


def test_the_documented_bot_answers(tmp_path: Path) -> None:
    [bot] = [block for block in blocks(ROOT / "docs" / "chat.md") if block.file == "echo.py"]
    with live_server() as server:
        here = f"{CONNECTS} tcp_port={server.tcp}, udp_port={server.udp},"
        source = bot.text.replace(CONNECTS, here)
        assert here in source
        (tmp_path / bot.file).write_text(source, encoding="utf-8")
        ann = Peer(server, "ann").creates("lobby")

        def answered() -> bool:
            ann.says("hello")
            return not ann.hears_nothing()

        with subprocess.Popen([sys.executable, tmp_path / bot.file]) as process:
            try:
                # The bot has entered when it hears a text; what is said before reaches nobody.
                until(answered, "an answer of the bot")
                assert ann.hears() == b"echo: ann said: hello"
                ann.says("exit")
                assert process.wait(PATIENCE) == 0  # its room was closed
            finally:
                process.kill()


def test_a_server_speaks_the_documented_dialect(tmp_path: Path) -> None:
    [dialect] = [block for block in blocks(ROOT / "docs" / "dialects.md") if block.file == "whisper.toml"]
    (tmp_path / dialect.file).write_text(dialect.text, encoding="utf-8")
    with live_server("--dialect", str(tmp_path / dialect.file)) as server:
        peer = Peer(server, "ann")
        payload = b'{"who": "ann", "key": ""}'
        answer = peer.ask(bytes((3, 1, 0)) + len(payload).to_bytes(29, "big") + b"den" + payload)
        assert answer.startswith(bytes((3, 1, 1)) + (3).to_bytes(29, "big") + b"denYES")
        assert b'{"token": "' in answer


def test_the_documented_record_is_one_of_the_documented_run() -> None:
    [scenario] = [block.text for block in blocks(ROOT / "docs" / "trace.md") if block.file == "mine.yaml"]
    [shown] = [block.text.strip() for block in blocks(ROOT / "docs" / "trace.md") if block.file == "dropped.json"]
    lines: list[str] = []
    Run(read_scenario_text(scenario), listeners=[lambda record: lines.append(record.line())]).go()

    def without_numbers(line: str) -> str:
        return re.sub(r'"(n|cause)":\d+', "", line)

    assert without_numbers(shown) in map(without_numbers, lines)


# --- statements ----------------------------------------------------------------------------------


def test_the_table_of_dialects_lists_all_of_them() -> None:
    text = (ROOT / "docs" / "dialects.md").read_text(encoding="utf-8").partition("## Choosing a dialect")[0]
    assert tuple(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == dialects.NAMES


def operating(heading: str) -> set[str]:
    """The names in the first column of a table of docs/operating.md."""
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"## {heading}\n")[2], flags=re.MULTILINE)[0]
    return {
        name for row in re.findall(r"^\| (`[^|]*)\|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }


def test_the_documented_metrics_are_those_served() -> None:
    with live_server("--metrics-port", "0") as server, urllib.request.urlopen(server.metrics_url) as page:  # noqa: S310 (http, ours)
        served = set(re.findall(r"^# TYPE (\w+) ", page.read().decode(), re.MULTILINE))
    documented = operating("Metrics")
    of_clusters = {name for name in documented if name.startswith("tcrp_cluster_")}
    assert {name for name in served if not name.endswith("_created")} == documented - of_clusters
    source = (ROOT / "engine" / "tcrp" / "net" / "cluster.py").read_text(encoding="utf-8")
    written = set(re.findall(r'"(tcrp_cluster_\w+)"', source))
    assert written
    assert written <= of_clusters


def test_the_documented_log_events_are_those_logged() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "engine" / "tcrp" / "net").glob("*.py"))
    logged = set(re.findall(r'(?:\.(?:info|warning|error)\(\s*|_write\("\w+", )"(\w+)"', source))
    logged |= set(map(str, What))
    made = {name for name in operating("Log") if name.partition("_")[0] in ("room", "session", "request")} - logged
    assert logged == operating("Log") - made
    events = {"room": RoomEvent, "session": SessionEvent, "request": HandshakeEvent}
    for name in made:
        machine, _, event = name.partition("_")
        assert event in set(events[machine]), name


def test_the_japanese_readme_has_the_commands_and_links_of_the_english_one() -> None:
    def shown(document: Path) -> list[tuple[str, str, list[str]]]:
        return [
            (block.language, block.file, [without_comment(line) for line in block.text.splitlines()])
            for block in blocks(document)
        ]

    def links(document: Path) -> list[str]:
        found = LINK.findall(document.read_text(encoding="utf-8"))
        return [link.replace(".ja.md", ".md") for link in found if "README" not in link]

    english, japanese = ROOT / "README.md", ROOT / "README.ja.md"
    assert shown(japanese) == shown(english)
    assert sorted(set(links(japanese))) == sorted(set(links(english)))


@pytest.mark.parametrize(
    ("document", "phrase"),
    [
        ("README.md", f"speaks {ENGLISH[len(dialects.NAMES)]} of these"),
        ("README.md", f"the {ENGLISH[len(dialects.NAMES)]} dialects, and how to add one"),
        ("README.md", f"{ENGLISH[len(TABLES)].capitalize()} machines describe a session, a room and a"),
        ("README.ja.md", f"そのうち{JAPANESE[len(dialects.NAMES)]}の方言に対応"),
        ("README.ja.md", f"{JAPANESE[len(dialects.NAMES)]}の方言と、方言の追加方法"),
        ("README.ja.md", f"{JAPANESE[len(TABLES)]}の状態機械が"),
        ("docs/README.md", f"the {ENGLISH[len(dialects.NAMES)]} that are included"),
        ("docs/chat.md", f"recognises {ENGLISH[len(dialects.NAMES) - 1]} dialects by itself"),
        ("docs/simulator.md", f"at least {ENOUGH_RUNS} scenarios also fails"),
        ("docs/simulator.md", f"# {ENGLISH[SWARM_RUNS // 1000]} thousand random scenarios"),
        ("docs/simulator.md", f"({PATIENCE_US // 1_000_000} s)"),
    ],
)
def test_a_number_in_a_document_is_that_of_the_code(document: str, phrase: str) -> None:
    assert phrase in " ".join((ROOT / document).read_text(encoding="utf-8").split())


@pytest.mark.parametrize("document", LINKED, ids=relative)
def test_what_was_measured_is_said_in_one_place(document: Path) -> None:
    """Another document may repeat a figure of performance.md, and has no speed of its own."""
    measured = " ".join((ROOT / "docs" / "performance.md").read_text(encoding="utf-8").split())
    text = " ".join(document.read_text(encoding="utf-8").split())
    if document.name == "CHANGELOG.md":  # what was measured then
        return
    speed = r"(\d[\d,.]*) (?:(?:events|arrivals|relays|texts|joins)(?:/s| a second)| ?µs\b|% of a core)"
    assert [figure for figure in re.findall(speed, text) if f"{figure} " not in measured] == []


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


@pytest.mark.parametrize("document", LINKED, ids=relative)
def test_the_links_of_a_document_have_targets(document: Path) -> None:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [slug(each) for each in headings], f"{document.name}: {link}"


# --- the picture ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["tools.picture", "tools.view_pictures"])
def test_the_pictures_show_runs_of_the_current_code(tool: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", tool, "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_picture_loads_nothing_and_contains_no_absolute_path() -> None:
    svg = (ROOT / "docs" / "run.svg").read_text(encoding="utf-8")
    for foreign in ("@font-face", "@import", "url(http", "href", "<image", "<script", str(ROOT), "/home/"):
        assert foreign not in svg, foreign
