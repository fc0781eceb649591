"""Credentials for NATS, read from files: what is given to nats-py, and what is said of a file that is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nats_credentials import Operator
from tcrp.net.nats_login import CannotJoin, credentials

USER = Operator().user()
JWT, SEED = (USER.splitlines()[at] for at in (1, 5))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "login"


def test_a_line_is_a_user_and_a_password_or_a_token(file: Path) -> None:
    file.write_text("chat:open:sesame\n")
    assert credentials(file) == {"user": "chat", "password": "open:sesame"}
    file.write_text("sesame")
    assert credentials(file) == {"token": "sesame"}


# The keys are new in each process: without ids the tests would have other names in each.
@pytest.mark.parametrize(
    "text", [USER, "# of the chat\n" + USER, USER.replace("\n", "\r\n")], ids=["whole", "with a comment", "CRLF"]
)
def test_a_credentials_file_of_nats_is_handed_over(file: Path, text: str) -> None:
    file.write_bytes(text.encode())
    handed_over = str(credentials(file)["user_credentials"]).splitlines()
    assert JWT in handed_over
    assert SEED in handed_over


@pytest.mark.parametrize(
    "text", [USER[:100], USER.partition("-----BEGIN USER")[0], USER[USER.index("-----BEGIN USER") :],
             USER.replace(SEED, SEED[:-8]), USER.replace(SEED, "SX" + SEED[2:]), USER.replace(SEED, "1" * 58)],
    ids=["its beginning", "no seed", "no JWT", "a short seed", "a seed of another kind", "no seed's letters"],
)  # fmt: skip
def test_half_a_file_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(CannotJoin, match=r"this is no whole \.creds file of NATS"):
        credentials(file)


@pytest.mark.parametrize("text", ["", "chat:sesame\nother:word\n"])
def test_other_files_are_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(CannotJoin, match="credentials are one line"):
        credentials(file)
    with pytest.raises(CannotJoin, match="cannot be read: Is a directory"):
        credentials(file.parent)


def test_without_nkeys_it_is_said_what_to_install(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nkeys", None)
    file.write_text(USER)
    with pytest.raises(CannotJoin, match=r"need nkeys: pip install 'nats-py\[nkeys\]'"):
        credentials(file)
