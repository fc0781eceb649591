"""A mutant in a fork: a process that has loaded what the modules need, in which a changed source is imported."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from types import CodeType, ModuleType

import pytest

from tools.mutants.in_place import Host, limit
from tools.mutants.reach import Choice, Watch
from tools.mutants.targets import ROOT, SOURCE_ROOTS, Target, Tests

WARM = ("hypothesis", "rich.console", "rich.table", "ruamel.yaml", "statemachine", "structlog", "prometheus_client")
MEMORY_BYTES_MAX = 4 << 30  # a mutant that loops may also fill the memory
INTERNAL_ERROR = 3  # an exit code of pytest


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads one module from a text instead of its file."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._text = source

    def get_code(self, fullname: str) -> CodeType:
        code = compile(self._text, self.path, "exec", dont_inherit=True)
        assert isinstance(code, CodeType)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module's mutant before its file is found."""

    def __init__(self, target: Target, source: str) -> None:
        self._target = target
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._target.name:
            return None
        file = str(self._target.path)
        return importlib.util.spec_from_file_location(fullname, file, loader=_Loader(fullname, file, self._source))


def warm_up(names: Collection[str]) -> None:
    """Import what the modules import, and not the modules: a fork imports them anew, one changed."""
    for name in WARM:
        importlib.import_module(name)
    from hypothesis import Phase, settings

    settings.register_profile("mutants", database=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("mutants")
    for root in (*SOURCE_ROOTS, "tests"):
        if str(ROOT / root) not in sys.path:
            sys.path.append(str(ROOT / root))
    for name in [name for name in sys.modules if name.startswith("tcrp.")]:
        _forget(name)
    for name in names:
        importlib.import_module(name)
    for name in names:
        _forget(name)
    for name, module in list(sys.modules.items()):
        if name.startswith("tcrp.") and any(getattr(each, "__module__", "") in names for each in vars(module).values()):
            _forget(name)  # it has imported what is to be changed


def _forget(name: str) -> None:
    module = sys.modules.pop(name, None)
    parent, _, child = name.rpartition(".")
    if module is not None and hasattr(sys.modules.get(parent), child):
        delattr(sys.modules[parent], child)


Work = Callable[[], int]
"""What a fork does; it returns the exit code."""


def fork(target: Target, source: str, work: Work, timeout: float, *, is_loud: bool = False) -> int:
    """Start some work on a changed source. Returns the process's id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = INTERNAL_ERROR
    try:
        limit(timeout, MEMORY_BYTES_MAX)
        if not is_loud:
            be_quiet()
        sys.meta_path.insert(0, _Finder(target, source))
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(int(code))


def be_quiet() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)


def run_tests(tests: Tests, plugin: Choice | Watch | Host, *options: str) -> int:
    sys.dont_write_bytecode = True
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # one of the plugins is the project's own and imports it
    usual = ["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    # Rewriting assertions takes longer than the tests.
    return pytest.main([*usual, "--assert=plain", *options, *tests], plugins=[plugin])
