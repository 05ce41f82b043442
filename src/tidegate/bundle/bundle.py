"""A trained model on disk: the only thing that passes from training to serving.

A bundle is a folder:

====================== ============================================================
``bundle.json``        name, version, spec, schema, task, provenance, and the sha256
                       of every other file and of itself
``weights.safetensors`` the arrays of `weights.layout`
``baseline.json``      what the training data and the answers looked like
``vectors.safetensors`` test vectors, replayed by `Engine.open`
``card.md``            the model card, for people
====================== ============================================================

There is no pickle in it, and loading runs no code of the bundle's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as safetensors_load
from safetensors.numpy import save as safetensors_save

from tidegate import __version__, files
from tidegate.bundle import card
from tidegate.bundle.task import disagreement
from tidegate.bundle.weights import check_weights, encode
from tidegate.core import Precision
from tidegate.errors import BundleError, InputError, TidegateError
from tidegate.schema import Schema
from tidegate.spec import ModelSpec, TaskSpec

__all__ = ["FORMAT", "Bundle", "check_target", "load", "save"]

FORMAT = 1

_MANIFEST = "bundle.json"
_YOUNGER = ("class_weights", "temperature", "forecast", "items", "anomaly")
"""Members of a task that bundles of version 0.1 lack."""

_NAME_RULE = r"[A-Za-z0-9._-]+"
_VECTORS = {"events", "outputs", "encoder", "hidden"}
_FILES = ("weights.safetensors", "baseline.json", "vectors.safetensors", "card.md")


@dataclass(frozen=True)
class Bundle:
    """A trained model.

    Parameters
    ----------
    name, version : str
        Which model, and which training of it. Both match ``[A-Za-z0-9._-]+``.
    spec : ModelSpec
        The layers.
    schema : Schema
        Raw fields to rows.
    task : TaskSpec
        What the outputs mean.
    weights : mapping of str to array
        Names, dtypes and shapes as `tidegate.bundle.weights.layout` says.
    baseline : mapping
        From `tidegate.bundle.baseline.measure`.
    vectors : mapping of str to array
        From `tidegate.engine.vectors.make`.
    provenance : mapping
        Where it comes from: data fingerprint, git revision, seeds, versions, metrics. JSON-able.
    precision : {"fp32", "bf16", "int8"}
        Of the weights, and of the products that are made with them.
    fingerprint : bytes
        32 bytes over spec, schema, task, weights and precision: bundles with equal fingerprints
        give equal answers, and may share sessions.
    path : Path or None
        The folder, if it came from one.
    """

    name: str
    version: str
    spec: ModelSpec
    schema: Schema
    task: TaskSpec
    weights: Mapping[str, NDArray[Any]]
    baseline: Mapping[str, Any]
    vectors: Mapping[str, NDArray[Any]]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    precision: Precision = "fp32"
    fingerprint: bytes = b""
    path: Path | None = None


def save(bundle: Bundle, path: str | Path, *, overwrite: bool = False) -> Bundle:
    """Write a bundle's folder: whole, or not at all (`files.write_folder`).

    Parameters
    ----------
    bundle : Bundle
        `fingerprint` and `path` are ignored, and filled in what is returned.
    path : str or Path
        The folder to make.
    overwrite : bool
        Whether a bundle that is there already may be replaced. Anything else is never replaced.

    Returns
    -------
    Bundle
        As `load` would give it.

    Raises
    ------
    InputError
        From `check_target`; ``cannot_write``: the file system refuses. A bundle that was there
        stays.
    BundleError
        ``bundle_weights``: weights do not fit the spec or are not finite; ``bundle_vectors``: an
        array of the test vectors is missing or unknown.
    """
    path = Path(path)
    check_target(path, bundle.name, bundle.version, overwrite=overwrite)
    check_weights(bundle.spec, bundle.precision, bundle.weights)
    _check_vectors(bundle.vectors)
    contents = {
        "weights.safetensors": encode(bundle.weights),
        "baseline.json": _json(bundle.baseline),
        "vectors.safetensors": safetensors_save(dict(bundle.vectors)),
        "card.md": card.write(bundle).encode(),
    }
    contents[_MANIFEST] = _manifest(bundle, contents)
    files.write_folder(path, contents)
    return load(path)


def check_target(path: str | Path, name: str, version: str, *, overwrite: bool = False) -> None:
    """Refuse what `save` would refuse before there is a bundle, such as before training.

    Parameters
    ----------
    path : str or Path
        The folder to make.
    name, version : str
        Of the model.
    overwrite : bool
        As in `save`.

    Raises
    ------
    InputError
        ``bad_name``: field `name` or `version` breaks its rule; ``exists`` (field `path`):
        something is there that may not be replaced; ``cannot_write``: nothing can be made there.

    Examples
    --------
    >>> check_target("out", "pumps", "1.0 beta")
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: version: '1.0 beta' is not a version (bad_name); use letters,
    digits, '.', '_' and '-' ([A-Za-z0-9._-]+), at most 128
    """
    path = Path(path)
    _check_name("name", name)
    _check_name("version", version)
    files.check_place(path)
    if path.exists() and not (overwrite and (path / _MANIFEST).is_file()):
        raise InputError(
            "exists",
            f"{str(path)!r} is there already",
            field="path",
            hint="choose another path"
            + (" (only a bundle is ever replaced)" if overwrite else ", or allow overwriting"),
        )


def load(path: str | Path) -> Bundle:
    """Read a bundle and verify every byte of it.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    Bundle
        With its fingerprint.

    Raises
    ------
    BundleError
        ``bundle_missing``, ``bundle_version``, ``bundle_damaged``, ``bundle_weights`` or
        ``bundle_vectors``, naming the file or the array and what is wrong with it.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    contents = {name: _read_file(path, name, manifest) for name in _FILES}
    try:
        spec = msgspec.convert(manifest["spec"], ModelSpec)
        task = msgspec.convert(manifest["task"], TaskSpec)
        schema = Schema.from_dict(manifest["schema"])
        precision: Precision = msgspec.convert(manifest.get("precision", "fp32"), Precision)
        weights = safetensors_load(contents["weights.safetensors"])
        vectors = safetensors_load(contents["vectors.safetensors"])
        baseline = _parsed(path, "baseline.json", contents["baseline.json"])
        _check_name("name", manifest["name"])
        _check_name("version", manifest["version"])
        bundle = Bundle(
            name=manifest["name"],
            version=manifest["version"],
            spec=spec,
            schema=schema,
            task=task,
            weights=weights,
            baseline=baseline,
            vectors=vectors,
            provenance=manifest["provenance"],
            precision=precision,
            fingerprint=bytes.fromhex(manifest["fingerprint"]),
            path=path,
        )
    except BundleError:
        raise
    except (
        *(KeyError, TypeError, ValueError),
        *(msgspec.MsgspecError, SafetensorError, TidegateError),
    ) as error:
        raise _damaged(path, _MANIFEST, f"its contents do not make a model: {error}") from error
    check_weights(spec, precision, weights)
    _check_vectors(vectors)
    if manifest["fingerprint"] != _fingerprint(manifest, contents["weights.safetensors"]):
        raise _damaged(path, _MANIFEST, "its fingerprint is not that of its model")
    if (spec.row_size, spec.categories) != (schema.width, schema.categories):
        raise _damaged(path, _MANIFEST, "the model's inputs are not the schema's columns")
    if what := disagreement(spec, task):
        raise _damaged(path, _MANIFEST, what)
    return bundle


def _manifest(bundle: Bundle, contents: Mapping[str, bytes]) -> bytes:
    parts = {
        "spec": _members(bundle.spec, younger=("readout", "top", "parts", "skip")),
        "schema": bundle.schema.to_dict(),
        "task": _members(bundle.task, younger=_YOUNGER),
        "precision": bundle.precision,
    }
    document = {
        "format": FORMAT,
        "tidegate": __version__,
        "name": bundle.name,
        "version": bundle.version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprint": _fingerprint(parts, contents["weights.safetensors"]),
        **parts,
        "provenance": bundle.provenance,
        "files": {name: _sha256(content) for name, content in contents.items()},
    }
    return _sealed(document)


def _members(struct: msgspec.Struct, younger: tuple[str, ...]) -> dict[str, Any]:
    """Return a struct's members; of those that older bundles lack only what is no default.

    A bundle that is read and written again so keeps its fingerprint.
    """
    usual = {field.name: field.default for field in msgspec.structs.fields(struct)}
    members: dict[str, Any] = msgspec.to_builtins(struct)
    return {
        name: value
        for name, value in members.items()
        if name not in younger or getattr(struct, name) != usual[name]
    }


def _fingerprint(manifest: Mapping[str, Any], weights: bytes) -> str:
    parts = {name: manifest[name] for name in ("spec", "schema", "task")}
    if manifest.get("precision", "fp32") != "fp32":  # older bundles are fp32 and do not say so
        parts["precision"] = manifest["precision"]
    return _sha256(_json({**parts, "weights": _sha256(weights)}))


def _sealed(document: dict[str, Any]) -> bytes:
    """Return the manifest's bytes, with their own sha256 as a member."""
    document = {key: value for key, value in document.items() if key != "sha256"}
    return _json({**document, "sha256": _sha256(_json(document))})


def _read_manifest(path: Path) -> dict[str, Any]:
    content = _read_bytes(path, _MANIFEST)
    document = _parsed(path, _MANIFEST, content)
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise _damaged(path, _MANIFEST, "it is not a bundle's manifest")
    if document["format"] != FORMAT:
        raise BundleError(
            "bundle_version",
            f"{path}: format {document['format']}, this tidegate ({__version__}) reads {FORMAT}",
            field="format",
            hint="use the tidegate that made it "
            f"({document.get('tidegate', 'unknown')}), or make the bundle again with this one",
        )
    # Re-encoding must give the same bytes: no byte of the file can change unnoticed.
    if _sealed(document) != content:
        raise _damaged(path, _MANIFEST, "its sha256 does not match")
    return document


def _read_file(path: Path, name: str, manifest: Mapping[str, Any]) -> bytes:
    content, files = _read_bytes(path, name), manifest.get("files")
    if not isinstance(files, dict) or files.get(name) != _sha256(content):
        raise _damaged(path, name, "its sha256 does not match bundle.json")
    return content


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise BundleError(
            "bundle_missing",
            f"{path / name}: {error.strerror}",
            field=name,
            hint="give the folder that `tidegate train` wrote, whole",
        ) from error


def _parsed(path: Path, name: str, content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _damaged(path, name, f"it is not JSON: {error}") from error


def _check_name(member: str, value: str) -> None:
    if len(value) > 128 or not re.fullmatch(_NAME_RULE, value):
        raise InputError(
            "bad_name",
            f"{value!r} is not a {member}",
            field=member,
            hint=f"use letters, digits, '.', '_' and '-' ({_NAME_RULE}), at most 128",
        )


def _check_vectors(vectors: Mapping[str, NDArray[Any]]) -> None:
    for name in sorted(_VECTORS ^ vectors.keys()):
        raise BundleError(
            "bundle_vectors",
            f"the test vectors have {'no' if name in _VECTORS else 'an unknown'} array {name!r}",
            field=name,
            hint="make the bundle again, its vectors with engine.vectors.make",
        )


def _json(value: Any) -> bytes:
    # In the order of insertion: the order of a schema's fields has a meaning.
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _damaged(path: Path, name: str, what: str) -> BundleError:
    return BundleError(
        "bundle_damaged",
        f"{path / name}: {what}",
        field=name,
        hint="copy the bundle again from where it was made",
    )
