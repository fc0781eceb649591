"""`chat-sim new`: writes a scenario to begin with, an example or a copy of one that comes with tcrp."""

from __future__ import annotations

import difflib
import shlex
import shutil
import sys
import textwrap
from pathlib import Path

from tcrp.cli.exits import HOLDS, OutputLost, UsageError
from tcrp.sim import run

SUFFIX = ".yaml"
EXAMPLE_FILE = Path("examples/cut.yaml")
CLAIM = "claim: "
EXAMPLE = """\
# A scenario of chat-sim: what is claimed, who does what and when, and what has to be true.
# Run it: chat-sim run {file}
# Every word of the format is described in docs/scenarios.md of tcrp; editors know the words by the line above.

# One sentence, which is true if the scenario holds.
claim: bob reads what alice says, but not what she says while bob is cut off

# All random draws follow from the seed. `--seed 7` runs the scenario with another one.
seed: 0

# A user who acts in the script needs an entry only if something is not as usual: a dialect, a name, an address.
users:
  bob: {{dialect: text}}

# What the links between users and the server are like; also loss, duplicate, reorder, corrupt, rate, mtu.
network:
  default: {{delay: 5ms..20ms}}

# The steps. `at` is a time from the start, `in` a time after the step before, `when` a state to wait for.
script:
  - {{at: 0s, alice: {{create: lobby}}}}
  - {{at: 1s, bob: {{join: lobby}}}}
  - {{when: {{session: bob@lobby, state: in-room}}, alice: {{say: "hello bob"}}}}
  # For two seconds, no datagram of the server reaches bob.
  - {{at: 2s, network: {{cut: {{from: server, to: bob}}, for: 2s}}}}
  - {{at: 3s, alice: {{say: "can you hear me?"}}}}
  - {{at: 5s, alice: {{say: "and now?"}}}}

# What has to be true at the end of the run, or at another time: add at: 4s, by: 4s or between: [3s, 4s] to a row.
expect:
  - {{bob: {{sees_exactly: ["hello bob", "and now?"]}}}}
  - {{drop: {{why: cut, what: relay}}, count: 1}}
  - {{session: bob@lobby, state: in-room, at: 4s}}
"""


def new(name: str, like: str | None) -> int:
    """Write a scenario that runs and holds. Raises `UsageError` or `OutputLost`."""
    if not Path(name).name.strip():
        raise UsageError("a scenario needs a name, such as: chat-sim new mine")
    file = Path(name if name.endswith((SUFFIX, ".yml")) else name + SUFFIX)
    shown = shlex.quote(str(file))
    text = EXAMPLE.format(file=shown) if like is None else _included(like).read_text(encoding="utf-8")
    hint = f"# yaml-language-server: $schema={(scenarios_folder() / 'scenario.schema.json').as_uri()}\n"
    try:
        with file.open("x", encoding="utf-8", newline="\n") as out:
            out.write(hint + text)
    except FileExistsError:
        raise UsageError(f"{file}: there is such a file already; choose another name") from None
    except OSError as error:
        raise OutputLost(f"{file}: cannot be written: {error.strerror}") from None
    print(f"wrote {file}; run it with: chat-sim run {shown}")
    return HOLDS


def scenarios_folder() -> Path:
    """The folder of the scenarios and their JSON Schema: inside the package if it was installed from a wheel."""
    package = Path(run.__file__).resolve().parent
    installed = package / "scenarios"
    return installed if installed.is_dir() else package.parents[1] / "scenarios"


def included() -> dict[str, Path]:
    """The scenarios that come with tcrp, by name."""
    folder = scenarios_folder()
    # The README's example is beside them in a wheel, and at the root of a clone.
    example = next(path for path in (folder / EXAMPLE_FILE, folder.parents[1] / EXAMPLE_FILE) if path.is_file())
    return {path.stem: path for path in sorted([*folder.glob(f"*{SUFFIX}"), example])}


def list_included() -> int:
    """Print the name and the claim of each scenario that comes with tcrp."""
    for name, path in included().items():
        claim = next(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(CLAIM))
        print(f"{name}\n{_wrapped(claim.removeprefix(CLAIM))}")
    return HOLDS


def _wrapped(text: str) -> str:
    """An indented paragraph as wide as the terminal; one line where there is none."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    return textwrap.fill(text, width, initial_indent="    ", subsequent_indent="    ")


def _included(name: str) -> Path:
    names = included()
    path = names.get(name.removesuffix(SUFFIX))
    if path is None:
        near = difflib.get_close_matches(name, names, 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else "chat-sim new --list names them"
        raise UsageError(f"tcrp comes with no scenario named {name!r}; {hint}")
    return path
