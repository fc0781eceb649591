"""Builds the compiled wheel: a hook of hatchling that translates the packages below to C by mypyc.

It does nothing unless `TCRP_COMPILED=1` is set, and nothing for an editable installation, so that a checkout needs
no compiler. hatch-mypyc, which is made for this, knows one source root; these packages have three.

`TCRP_OPTIMIZE` is the C compiler's level, 2 if not set. At 0 a build takes half the processor time, for checks.

`python -m tools.compiled FOLDER` puts the sources and what is made from them into a folder, to be run by `PYTHONPATH`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NEEDS = ["mypy>=2.4", "setuptools>=77"]


class CompiledWheel(BuildHookInterface):  # type: ignore[type-arg]
    """The hook. `compile` and `interpreted` of its table in `pyproject.toml` are patterns of files."""

    @property
    def is_wanted(self) -> bool:
        """Whether this build is to be compiled."""
        return os.environ.get("TCRP_COMPILED") == "1"

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling: mypyc also reads the types of the libraries that are used."""
        return [*NEEDS, *self.metadata.core.dependencies] if self.is_wanted else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and add what came of it to the wheel, beside the sources."""
        if not self.is_wanted or version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="tcrp-compiled-")
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        root = Path(self.root)
        for library in compiled(root, sources_of(root, self.config), Path(self._folder.name)):
            build_data["force_include"][str(library)] = str(library.relative_to(Path(self._folder.name) / "lib"))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built on the way."""
        if self.is_wanted and version != "editable":
            self._folder.cleanup()


def sources_of(root: Path, config: dict[str, Any]) -> list[str]:
    """The modules to compile, relative to the root of the sources."""
    left_out = {path for pattern in config["interpreted"] for path in root.glob(pattern)}
    found = sorted({path for pattern in config["compile"] for path in root.glob(pattern)} - left_out)
    return [str(path.relative_to(root)) for path in found]


def compiled(root: Path, sources: list[str], folder: Path) -> list[Path]:
    """The libraries made from `sources`, in `folder`/lib, each where it belongs in the wheel."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    class Parallel(build_ext):  # its own `parallel` is for extensions: one has nearly all files
        def build_extensions(self) -> None:
            compile_all = self.compiler.compile

            def compile_each(files: list[str], **options: Any) -> list[str]:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    each = pool.map(lambda file: compile_all([file], **options), files)
                    return [made for of_one in each for made in of_one]

            self.compiler.compile = compile_each
            super().build_extensions()

    before = Path.cwd()
    os.chdir(root)  # mypy finds its settings and our packages from here
    try:
        extensions = mypycify(
            sources,
            target_dir=str(folder / "c"),
            group_name="tcrp",
            opt_level=os.environ.get("TCRP_OPTIMIZE", "2"),
            debug_level="0",
            multi_file=True,
        )
        build = Parallel(Distribution({"name": "tcrp", "ext_modules": extensions}))
        build.build_lib, build.build_temp, build.parallel = str(folder / "lib"), str(folder / "o"), os.cpu_count()
        build.ensure_finalized()
        build.run()
    finally:
        os.chdir(before)
    return sorted(each for each in (folder / "lib").rglob("*") if each.is_file())


def main(folder: Path) -> None:
    """Fill `folder`, which is emptied before. Raises if what was compiled cannot be imported."""
    root = Path(__file__).parents[1]
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    shutil.rmtree(folder, ignore_errors=True)
    for source_root in settings["dev-mode-dirs"]:
        shutil.copytree(root / source_root / "tcrp", folder / "tcrp", dirs_exist_ok=True)
    hook = settings["targets"]["wheel"]["hooks"]["custom"]
    with tempfile.TemporaryDirectory(prefix="tcrp-compiled-") as made:
        sources = sources_of(root, hook)
        compiled(root, sources, Path(made))
        shutil.copytree(Path(made) / "lib", folder, dirs_exist_ok=True)
    modules = [".".join(Path(source).with_suffix("").parts[1:]) for source in sources]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "-c", f"import {', '.join(modules)}"], env=environment, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
