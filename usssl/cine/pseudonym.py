"""Pseudonyms: the same patient, study or file always gets the same name, and only the holder of the key can tell whose.

A pseudonym is a keyed hash (HMAC-SHA-256) of the original identifier. Without the key nobody can compute it from a
guessed name; with the key, data that arrives years later still joins its patient. The key is a file of this user,
outside every
output: the path given, else `USSSL_KEY`, else `pseudonym.key` in the user's configuration folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import unicodedata
from pathlib import Path

from usssl.errors import OutputError, UsageError

KEY_VARIABLE = "USSSL_KEY"
_KEY_BYTES = 32


class Pseudonyms:
    """Makes pseudonyms with one key.

    Args:
        key: at least 16 secret bytes; `from_file` and `load_key` find or make them.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("a pseudonym key has at least 16 bytes")
        self._key = bytes(key)

    @classmethod
    def from_file(cls, path: str | Path | None = None) -> Pseudonyms:
        """Reads the key file, or makes it; see `load_key`."""
        return cls(load_key(path))

    def __repr__(self) -> str:
        return f"Pseudonyms(key {self.key_id})"

    @property
    def key_id(self) -> str:
        """Eight hex digits that tell two keys apart without giving either away; fit for logs and reports."""
        return self._digest("key", "")[:4].hex()

    def patient(self, patient_id: str = "", name: str = "", birth_date: str = "", issuer: str = "") -> str | None:
        """The pseudonym of a patient, `P` and 16 hex digits; None where nothing names one.

        The ID counts where there is one, within its issuer; else name and birth date. Letter case, white space, and the
        `^` and `=` of DICOM names make no difference.
        """
        if _plain(patient_id):
            identity = ("patient id", f"{_plain(issuer)}\x1f{_plain(patient_id)}")
        elif _plain(name):
            identity = ("patient name", f"{_plain(name)}\x1f{_plain(birth_date)}")
        else:
            return None
        return "P" + self._digest(*identity)[:8].hex()

    def of(self, kind: str, original: str) -> str:
        """The pseudonym of anything else, 16 hex digits; the same original of another kind gets another."""
        return self._digest(kind, original)[:8].hex()

    def uid(self, original: str) -> str:
        """A DICOM UID in place of another: `2.25.` and a 128-bit number (PS3.5 B.2), the same for the same original."""
        number = int.from_bytes(self._digest("uid", original.strip(" \0"))[:16], "big")
        # A version 8 UUID (RFC 9562): what is left beside its version and variant is the keyed hash.
        number = number & ~(0xF << 76) | (0x8 << 76)
        number = number & ~(0x3 << 62) | (0x2 << 62)
        return f"2.25.{number}"

    def _digest(self, kind: str, original: str) -> bytes:
        return hmac.new(self._key, f"{kind}\x1e{original}".encode(errors="surrogatepass"), hashlib.sha256).digest()


def key_path(path: str | Path | None = None) -> Path:
    """Where the key lies: the path given, else `USSSL_KEY`, else the user's configuration folder."""
    if path is not None:
        return Path(path)
    if named := os.environ.get(KEY_VARIABLE):
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("usssl", appauthor=False) / "pseudonym.key"


def load_key(path: str | Path | None = None) -> bytes:
    """Reads the key, or makes a new one that only this user can read.

    Args:
        path: the key file; `key_path` says where it is looked for when None.

    Raises:
        UsageError: if the file is no key or cannot be read.
        OutputError: if a new key cannot be written.
    """
    path = key_path(path)
    try:
        return _parse(path)
    except FileNotFoundError:
        return _create(path)
    except OSError as error:
        raise UsageError(f"cannot read the pseudonym key {path}: {_reason(error)}") from None


def refuse_key_inside(path: str | Path | None, folder: Path) -> None:
    """Refuses a key that lies within a folder that is meant to be shared.

    Raises:
        UsageError: if it does.
    """
    key, shared = key_path(path).resolve(), folder.resolve()
    if key.is_relative_to(shared):
        raise UsageError(
            f"the pseudonym key {key} lies inside the output {shared}, which would undo it; keep it elsewhere"
        )


def _parse(path: Path) -> bytes:
    text = path.read_bytes()[:1024].strip()
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) < _KEY_BYTES:
        raise UsageError(
            f"{path} is not a pseudonym key (64 hex digits); name another with the key option or {KEY_VARIABLE}"
        )
    return key


def _create(path: Path) -> bytes:
    key = secrets.token_bytes(_KEY_BYTES)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(key.hex().encode() + b"\n")
        _link(temporary, path)
        return _parse(path)
    except OSError as error:
        raise OutputError(f"cannot make the pseudonym key {path}: {_reason(error)}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _link(temporary: Path, path: Path) -> None:
    """Gives the key its name unless the name is taken: of two processes that make it at once, both use the first."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            temporary.replace(path)


def _plain(text: str) -> str:
    """Text without the differences that do not make another person."""
    words = unicodedata.normalize("NFKC", str(text)).replace("^", " ").replace("=", " ").replace("\0", " ").split()
    return " ".join(words).casefold()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
