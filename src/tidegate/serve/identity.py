"""Whose sessions a store holds: old state is never fed to new weights by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate import record
from tidegate.errors import InputError, RecordError
from tidegate.store import meta_key, session_prefix

if TYPE_CHECKING:
    from tidegate.bundle import Bundle
    from tidegate.store import Store

__all__ = ["claim"]


def claim(store: Store, bundle: Bundle, tenant: str, *, reset: bool) -> None:
    """Make a store a model's, or refuse.

    The store remembers the fingerprint of the last model of each name. As long as that one serves,
    nothing is read here. After a change that was asked for (`reset`) a session that still belongs
    to the old model begins anew at its next event, also after a restart.

    Parameters
    ----------
    store : Store
        Where the sessions live.
    bundle : Bundle
        The model that will serve them.
    tenant : str
        First part of the store's keys.
    reset : bool
        Whether sessions of another model may begin anew.

    Raises
    ------
    InputError
        ``bundle_changed``: live sessions belong to another model, and `reset` is false.
    StoreError
        The store cannot be read or written.
    """
    key = meta_key("fingerprint", bundle.name)
    if store.get([key])[0] == bundle.fingerprint:
        return
    others = _sessions_of_others(store, bundle, tenant)
    if others and not reset:
        raise InputError(
            "bundle_changed",
            f"{others} sessions of {bundle.name!r} in the store belong to another bundle",
            field="bundle",
            hint="serve the bundle that they belong to, or let each begin anew at its next event "
            "with --on-new-model reset",
        )
    store.commit([(key, bundle.fingerprint)])


def _sessions_of_others(store: Store, bundle: Bundle, tenant: str) -> int:
    """Count the live sessions of a model that another bundle left."""
    count = 0
    for _, data in store.scan(session_prefix(tenant, bundle.name)):
        try:
            known = record.decode(data)
        except RecordError:
            continue  # its own event will say so
        count += known.status == "live" and known.fingerprint != bundle.fingerprint
    return count
