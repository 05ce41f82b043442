"""API keys: who may talk to a server.

A key's token is 256 random bits. The file keeps SHA-256 of it, and no slow hash: those (scrypt,
argon2) make guessing a *password* dear, because people choose from few; nobody guesses one of
2**256 tokens, however fast a guess is. A request is checked by one SHA-256 instead of 50 ms of CPU,
which would be a way to bring the server down.

The file is TOML, a line a key, and may hold comments::

    dashboard = "sha256:9f86d0..."
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import stat
from pathlib import Path

from tidegate import files, toml
from tidegate.errors import InputError

__all__ = ["Keys", "add_key", "hash_of", "key_names", "remove_key"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_TOKEN_PREFIX = "tg_"  # noqa: S105 - lets scanners of leaked secrets know one
_LONGEST_HEADER = 256
_MODE = 0o600


def hash_of(token: str) -> bytes:
    """Return what is kept of a token: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Keys:
    """The keys of a file, to check requests against.

    Parameters
    ----------
    path : Path
        The file; see `load`.

    Notes
    -----
    A check that fails compares the token's hash with every key's in constant time and looks at all
    of them. One that succeeds is remembered by the token's *hash*, so that the next one costs a
    hash and a lookup (under 2 us); there are never more of them than keys. The lookup's time may
    depend on the hash, which tells nothing: to use it one would need a token with a chosen SHA-256.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: tuple[tuple[str, bytes], ...] = ()
        self._accepted: dict[bytes, str] = {}

    @classmethod
    def load(cls, path: str | Path) -> Keys:
        """Read a file of keys.

        Raises
        ------
        InputError
            ``missing_file``, ``not_toml``; ``bad_keys``: a line that is no key, or a file that
            others may write to.
        """
        keys = cls(Path(path))
        keys.reload()
        return keys

    def __len__(self) -> int:
        return len(self._entries)

    def reload(self) -> None:
        """Read the file again: keys that are gone are refused from now on.

        Raises
        ------
        InputError
            As `load`; the keys stay as they were.
        """
        self._entries = tuple(_read(self._path).items())
        self._accepted = {}

    def check(self, authorization: str | None) -> str | None:
        """Return the name of the key that a request brought, or None.

        Parameters
        ----------
        authorization : str or None
            The header ``Authorization``: ``Bearer tg_...``.

        Examples
        --------
        >>> Keys(Path("none")).check("Bearer tg_guess") is None
        True
        """
        if authorization is None or len(authorization) > _LONGEST_HEADER:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" and scheme.lower() != "bearer":
            return None
        digest = hash_of(token)
        name = self._accepted.get(digest)
        if name is None:
            for known, expected in self._entries:
                # No way out of the loop: its time says nothing of which key it was.
                if hmac.compare_digest(digest, expected):
                    name = known
            if name is not None:
                self._accepted[digest] = name
        return name


def add_key(path: str | Path, name: str) -> str:
    """Make a key, append its hash to a file (made with mode 0600) and return its token.

    Raises
    ------
    InputError
        ``bad_key_name``, ``key_exists``, ``cannot_write``, or as `Keys.load`.
    """
    path = Path(path)
    if not _NAME.fullmatch(name):
        raise InputError(
            "bad_key_name",
            f"{name[:80]!r} cannot name a key",
            field="name",
            hint="use 1 to 64 letters, digits, '_' and '-'",
        )
    if name in key_names(path):
        raise InputError(
            "key_exists",
            f"there is a key {name!r} already",
            field="name",
            hint=f"tidegate key remove {name} forgets it",
        )
    token = _TOKEN_PREFIX + secrets.token_urlsafe(32)
    before = path.read_text("utf-8") if path.exists() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    line = f'{name} = "sha256:{hash_of(token).hex()}"\n'
    files.write_file(path, (before + line).encode(), mode=_MODE)
    return token


def key_names(path: str | Path) -> list[str]:
    """Return the names of a file's keys; none if there is no file.

    Raises
    ------
    InputError
        As `Keys.load`.
    """
    path = Path(path)
    return list(_read(path)) if path.exists() else []


def remove_key(path: str | Path, name: str) -> None:
    """Take a key out of a file.

    Raises
    ------
    InputError
        ``key_unknown``, ``cannot_write``, or as `Keys.load`.
    """
    path = Path(path)
    names = key_names(path)
    if name not in names:
        raise InputError(
            "key_unknown",
            f"there is no key {name!r} in {path}",
            field="name",
            hint=toml.nearest(name, names) if names else "tidegate key new makes one",
        )
    is_it = re.compile(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=")
    kept = [
        line for line in path.read_text("utf-8").splitlines(keepends=True) if not is_it.match(line)
    ]
    files.write_file(path, "".join(kept).encode(), mode=_MODE)


def _read(path: Path) -> dict[str, bytes]:
    content = toml.read(path)
    mode = path.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InputError(
            "bad_keys",
            f"others may write to {path} (mode {stat.S_IMODE(mode):o})",
            field="api_keys",
            hint=f"chmod 600 {path}",
        )
    found = {}
    for name, said in content.items():
        match = _HASH.fullmatch(said) if isinstance(said, str) else None
        if match is None or not _NAME.fullmatch(name):
            # Not the value: it may be the token itself, put there by mistake.
            raise InputError(
                "bad_keys",
                f"{name[:80]!r} in {path} is no key",
                field="api_keys",
                hint="a line is NAME = \"sha256:64 hex digits\"; 'tidegate key new' writes it",
            )
        found[name] = bytes.fromhex(match[1])
    return found
