"""What is written down as proved fits the scenarios and the properties, and is written by exploring them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tools import prove

ROOT = Path(__file__).parents[2]


def a_folder(tmp_path: Path, **bounds: int) -> Path:
    (tmp_path / prove.FOLDER).mkdir(parents=True)
    (tmp_path / prove.RESULTS.parent).mkdir()
    words = ", ".join(f"{word}: {number}" for word, number in bounds.items())
    (tmp_path / prove.FOLDER / "tiny.yaml").write_text(f"claim: one user is alone\nexplore: {{{words}}}\n")
    return tmp_path


def test_what_is_proved_is_written_down_and_shown(tmp_path: Path) -> None:
    root = a_folder(tmp_path, users=1, texts=1)
    assert prove.prove(root, ["tiny"], jobs=1) == 0
    assert prove.read_results(root)["tiny"]["states"] > 10
    assert "[one user is alone](../sim/proofs/tiny.yaml): 1 user, 1 text" in prove.section(root)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("bounds", {}), "within other bounds"),
        (("properties", ["nothing-breaks"]), "names no properties of ours: nothing-breaks"),
        (("more", 1), "has not the keys"),
    ],
)
def test_what_fits_no_more_is_an_error(tmp_path: Path, change: tuple[str, object], said: str) -> None:
    root = a_folder(tmp_path, users=1, texts=0)
    prove.prove(root, ["tiny"], jobs=1)
    file = root / prove.RESULTS
    results = json.loads(file.read_text())
    results["tiny"][change[0]] = change[1]
    file.write_text(json.dumps(results))
    with pytest.raises(prove.Unproved, match=said):
        prove.section(root)


def test_a_scenario_that_is_gone_is_an_error(tmp_path: Path) -> None:
    root = a_folder(tmp_path, users=1, texts=0)
    prove.prove(root, ["tiny"], jobs=1)
    shutil.rmtree(root / prove.FOLDER)
    with pytest.raises(prove.Unproved, match=r"there is no sim/proofs/tiny\.yaml"):
        prove.section(root)


def test_every_result_of_ours_has_its_scenario() -> None:
    assert set(prove.read_results(ROOT)) <= {each.stem for each in (ROOT / prove.FOLDER).glob("*.yaml")}
