"""The Makefile makes its environment with a Python that is new enough, or says which one is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD = """\
#!/bin/sh
case "$1" in
  --version) echo Python 3.10.12 ;;
  -c) exit 1 ;;
  *) echo "the old Python was used: $*" >&2; exit 3 ;;
esac
"""
NEW = """\
#!/bin/sh
if test "$1 $2" = "-m venv"; then shift 2; exec {python} -m venv --without-pip "$@"; fi
exec {python} "$@"
"""
NO_PIP = "PIP=true"  # nothing is installed


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name, script in (("python3.10", OLD), ("python3.x", NEW.format(python=sys.executable))):
        (tmp_path / name).write_text(script, encoding="ascii")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def make(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-C", str(clone), NO_PIP, *words, ".venv/run"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_an_old_python_is_named_and_leaves_no_environment(clone: Path) -> None:
    made = make(clone, f"PYTHON={clone}/python3.10")
    assert made.returncode != 0
    assert "tcrp needs Python 3.11 or newer, but" in made.stderr
    assert "Python 3.10.12. If another is installed: make .venv/run PYTHON=python3.12" in made.stderr
    assert not (clone / ".venv").exists()


def test_an_environment_of_an_old_python_is_made_anew(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(clone / "python3.10", clone / ".venv" / "bin" / "python")
    made = make(clone, f"PYTHON={clone}/python3.x")
    assert made.returncode == 0, made.stderr
    version = subprocess.run([clone / ".venv/bin/python", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.split()[1].startswith(f"3.{sys.version_info.minor}")
