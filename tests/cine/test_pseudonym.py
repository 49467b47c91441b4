from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from tests.nobody import as_nobody, needs_users, reachable_folder
from usssl.cine.pseudonym import KEY_VARIABLE, Pseudonyms, key_path, load_key, refuse_key_inside
from usssl.errors import OutputError, UsageError

KEY = bytes(range(32))


def test_the_same_patient_gets_the_same_pseudonym_and_another_key_another() -> None:
    ours, theirs = Pseudonyms(KEY), Pseudonyms(KEY[::-1])
    assert ours.patient("4711", "DOE^JANE") == ours.patient(" 4711 ", "Doe^Jane^^Dr")
    assert ours.patient("4711") != ours.patient("4712")
    assert ours.patient("4711", issuer="A") != ours.patient("4711", issuer="B")
    assert ours.patient("4711") != theirs.patient("4711")


def test_without_an_id_name_and_birth_date_count() -> None:
    pseudonyms = Pseudonyms(KEY)
    assert pseudonyms.patient(name="DOE^JANE", birth_date="19700101") == pseudonyms.patient("", "doe jane", "19700101")
    assert pseudonyms.patient(name="DOE^JANE", birth_date="19700101") != pseudonyms.patient(name="DOE^JANE")
    assert pseudonyms.patient() is None
    assert pseudonyms.patient(" ", "^^", "19700101") is None


def test_an_id_and_a_name_of_the_same_letters_are_different_people() -> None:
    assert Pseudonyms(KEY).patient("doe") != Pseudonyms(KEY).patient(name="doe")


def test_pseudonym_is_the_hmac_worked_out_by_openssl() -> None:
    # printf 'patient id\x1e\x1f4711' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f
    assert Pseudonyms(KEY).patient("4711") == "Pd0ab966d7ab8a405"


@given(st.text(min_size=1, max_size=80))
def test_uids_are_valid_and_stable(original: str) -> None:
    pseudonyms = Pseudonyms(KEY)
    uid = pseudonyms.uid(original)
    assert UID(uid).is_valid
    assert uid == pseudonyms.uid(original)
    number = int(uid.removeprefix("2.25."))
    assert number >> 76 & 0xF == 8
    assert number >> 62 & 0x3 == 2


def test_padding_of_a_uid_makes_no_difference() -> None:
    assert Pseudonyms(KEY).uid("1.2.3\0") == Pseudonyms(KEY).uid("1.2.3")


def test_a_new_key_is_readable_by_its_owner_only_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "config" / "pseudonym.key"
    key = load_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path) == key
    assert len(key) == 32
    assert load_key(tmp_path / "other.key") != key
    assert [p.name for p in path.parent.iterdir()] == ["pseudonym.key"]


def test_processes_that_make_the_key_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_key(tmp_path / "k"), range(24)))
    assert len(keys) == 1


def test_the_key_is_found_by_option_then_environment_then_user_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert key_path().name == "pseudonym.key"
    assert "usssl" in key_path().parts
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "named"))
    assert key_path() == tmp_path / "named"
    assert key_path("given") == Path("given")


def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a key")
    with pytest.raises(UsageError, match="not a pseudonym key"):
        load_key(path)
    assert path.read_text() == "not a key"


def test_a_key_inside_the_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="elsewhere"):
        refuse_key_inside(tmp_path / "out" / "k", tmp_path / "out")
    refuse_key_inside(tmp_path / "k", tmp_path / "out")


@needs_users
def test_a_folder_that_cannot_be_written_is_one_sentence() -> None:
    with reachable_folder() as folder:
        folder.chmod(0o555)
        with as_nobody(), pytest.raises(OutputError, match="cannot make the pseudonym key"):
            load_key(folder / "k")
        folder.chmod(0o755)


def test_neither_repr_nor_key_id_gives_the_key_away() -> None:
    pseudonyms = Pseudonyms(KEY)
    assert KEY.hex() not in repr(pseudonyms)
    assert pseudonyms.key_id not in KEY.hex()
    with pytest.raises(ValueError, match="16 bytes"):
        Pseudonyms(b"short")
