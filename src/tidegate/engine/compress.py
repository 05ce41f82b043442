"""Compression: the same model with its matrices in fewer bits, as a bundle of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidegate.bundle.weights import quantised
from tidegate.engine import offline, vectors
from tidegate.errors import InputError

if TYPE_CHECKING:
    from tidegate.bundle import Bundle
    from tidegate.core import Precision

__all__ = ["compress"]


def compress(bundle: Bundle, precision: Precision, *, version: str | None = None) -> Bundle:
    """Round a bundle's matrices to bf16 or int8.

    No data is needed: int8 weights have one scale a row, and the inputs of a product are scaled as
    they come.

    Parameters
    ----------
    bundle : Bundle
        With fp32 weights.
    precision : {"bf16", "int8"}
        Of the matrices, and of the products that the engine makes with them.
    version : str, optional
        Of the new bundle; by default that of `bundle` with the precision behind it.

    Returns
    -------
    Bundle
        Not on disk yet. Its test vectors are the events of `bundle`'s with what the engine makes of
        them in this precision; its metrics are called those of fp32; ``provenance["compressed"]``
        says what it was made from.

    Raises
    ------
    InputError
        ``already_compressed``: the bundle's weights are not fp32.
    """
    if bundle.precision != "fp32":
        raise InputError(
            "already_compressed",
            f"{bundle.name} {bundle.version} is {bundle.precision}",
            field="precision",
            hint="compress the bundle that it was made from",
        )
    origin = {
        "precision": precision,
        "version": bundle.version,
        "fingerprint": bundle.fingerprint.hex(),
    }
    metrics = bundle.provenance.get("metrics", {})
    made = replace(
        bundle,
        version=version or f"{bundle.version}-{precision}",
        weights=quantised(bundle.spec, bundle.weights, precision),
        provenance={
            **bundle.provenance,
            "metrics": {f"{part} (fp32)": values for part, values in metrics.items()},
            "compressed": origin,
        },
        precision=precision,
        fingerprint=b"",
        path=None,
    )
    engine = offline.open(made, replay=False)
    return replace(made, vectors=vectors.record(engine, bundle.vectors["events"]))
