"""Whom a server may be open to: this machine, or others with TLS and keys, or all if told so."""

from __future__ import annotations

import ssl
from pathlib import Path

from tidegate.errors import InputError
from tidegate.serve.config import ServeSettings

__all__ = ["check_certificate", "check_exposure"]

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID


def check_exposure(settings: ServeSettings, *, loopback: bool) -> str | None:
    """Refuse to be open to others by mistake.

    Parameters
    ----------
    settings : ServeSettings
        What protects the server.
    loopback : bool
        Whether only this machine can reach it.

    Returns
    -------
    str or None
        A warning, if there is no protection and `insecure` says that this is meant.

    Raises
    ------
    InputError
        ``exposed``.

    Examples
    --------
    >>> check_exposure(ServeSettings(store="memory:", host="0.0.0.0"), loopback=False)
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: host: 0.0.0.0 can be reached from other machines, without TLS and
    without API keys (exposed); give --tls-cert and --tls-key, and --api-keys ('tidegate key new'
    makes one), or --insecure if something else protects it
    """
    if loopback:
        return None
    missing, needed = [], []
    if not settings.tls_cert:
        missing.append("without TLS")
        needed.append("--tls-cert and --tls-key")
    if not settings.api_keys:
        missing.append("without API keys")
        needed.append("--api-keys ('tidegate key new' makes one)")
    if not missing:
        return None
    what = f"{settings.host} can be reached from other machines, {' and '.join(missing)}"
    if settings.insecure:
        return what
    raise InputError(
        "exposed",
        what,
        field="host",
        hint=f"give {', and '.join(needed)}, or --insecure if something else protects it",
    )


def check_certificate(cert: str | Path, key: str | Path) -> float:
    """Refuse a certificate that clients would refuse: it shakes hands with itself, in memory.

    Parameters
    ----------
    cert, key : str or Path
        PEM files: the certificate (with its chain), and its private key without a password.

    Returns
    -------
    float
        When it expires, in unix seconds.

    Raises
    ------
    InputError
        ``missing_file``, ``bad_certificate``, ``bad_key``, ``certificate_expired``,
        ``certificate_not_yet_valid``.
    """
    for name, path in (("tls_cert", cert), ("tls_key", key)):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise InputError(
                "missing_file",
                f"{str(path)!r}: {error.strerror}",
                field=name,
                hint="give a PEM file that this process may read",
            ) from error
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    # The certificate is its own root here: who signed it is for the clients to judge.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        client.load_verify_locations(cert)
    except ssl.SSLError as error:
        raise InputError(
            "bad_certificate",
            f"{str(cert)!r} is no certificate: {error.reason}",
            field="tls_cert",
            hint="give a PEM file that begins with -----BEGIN CERTIFICATE-----",
        ) from error
    try:
        # The function is asked only where there is a password; without it OpenSSL asks a terminal.
        server.load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        is_other = error.reason == "KEY_VALUES_MISMATCH"
        what = "belongs to another certificate" if is_other else f"cannot be used: {error.reason}"
        raise InputError(
            "bad_key",
            f"{str(key)!r} {what}",
            field="tls_key",
            hint="give the certificate's own key, in PEM, without a password",
        ) from error
    try:
        return ssl.cert_time_to_seconds(str(_shake_hands(server, client)["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        code = {
            _EXPIRED: "certificate_expired",
            _NOT_YET_VALID: "certificate_not_yet_valid",
        }.get(error.verify_code, "bad_certificate")
        raise InputError(
            code,
            f"{str(cert)!r}: {error.verify_message}",
            field="tls_cert",
            hint="clients would refuse it; renew it",
        ) from error


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, object]:
    """Let two contexts talk in memory; return the certificate that the client has seen."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server.wrap_bio(there, back, server_side=True)
    calling = client.wrap_bio(back, there)
    waiting = {serving, calling}
    while waiting:
        for side in (calling, serving):
            if side in waiting:
                try:
                    side.do_handshake()
                    waiting.discard(side)
                except ssl.SSLWantReadError:
                    pass
    return dict(calling.getpeercert() or {})
