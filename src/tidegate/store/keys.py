r"""Keys of a store.

The first byte of a key says what it is of: ``s`` a session, ``m`` metadata.
Then come names, separated by NUL, so that the sessions of a model lie together, in the order of
their ids. Only the last name may hold a NUL itself.
"""

from __future__ import annotations

from tidegate.errors import InputError

__all__ = ["meta_key", "session_key", "session_prefix", "split_session_key"]

_SESSION, _META = b"s", b"m"
_END = b"\0"


def session_key(tenant: str, model: str, session: str) -> bytes:
    r"""Return the key of a session's record.

    Parameters
    ----------
    tenant, model : str
        Not empty, without NUL.
    session : str
        Any text. Rules for session ids are for those who take them in.

    Raises
    ------
    InputError
        ``bad_key``: the name in `field` cannot be a part of a key.

    Examples
    --------
    >>> session_key("default", "flights", "JFK/B6")
    b'sdefault\x00flights\x00JFK/B6'
    >>> split_session_key(session_key("default", "flights", "JFK/B6"))
    ('default', 'flights', 'JFK/B6')
    """
    return session_prefix(tenant, model) + _text(session, "session")


def session_prefix(tenant: str, model: str) -> bytes:
    """Return what the keys of all sessions of a model begin with, and no other key does.

    Raises
    ------
    InputError
        ``bad_key``, as in `session_key`.
    """
    return _SESSION + _name(tenant, "tenant") + _END + _name(model, "model") + _END


def split_session_key(key: bytes) -> tuple[str, str, str]:
    """Return the tenant, the model and the session of a session's key.

    Raises
    ------
    InputError
        ``bad_key``: it is not the key of a session.
    """
    try:
        tenant, model, session = key[1:].decode().split("\0", 2)
    except ValueError:  # no UTF-8, or too few names
        tenant = model = session = ""
    if key[:1] != _SESSION or not tenant or not model:
        raise InputError(
            "bad_key",
            f"{key!r} is not the key of a session",
            field="key",
            hint="scan with session_prefix to see only sessions",
        )
    return tenant, model, session


def meta_key(name: str, subject: str = "") -> bytes:
    r"""Return the key of something else than a session.

    Parameters
    ----------
    name : str
        What it is. Not empty, without NUL.
    subject : str
        What it is about, such as a model.

    Raises
    ------
    InputError
        ``bad_key``, as in `session_key`.

    Examples
    --------
    >>> meta_key("fingerprint", "flights")
    b'mfingerprint\x00flights'
    """
    return _META + _name(name, "name") + _END + _text(subject, "subject")


def _name(value: str, field: str) -> bytes:
    if not value or "\0" in value:
        raise InputError(
            "bad_key",
            f"{value!r} cannot be a part of a key",
            field=field,
            hint="use a name that is not empty and has no NUL",
        )
    return _text(value, field)


def _text(value: str, field: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "bad_key",
            f"{value!r} has no UTF-8 form",
            field=field,
            hint="send valid Unicode, without lone surrogates",
        ) from error
