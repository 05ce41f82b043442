"""Bundles changed so that their hashes are right again, as only a program would."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec


def encoded(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode((folder / "bundle.json").read_bytes())
    return document


def reseal(folder: Path, **changed: Any) -> None:
    """Change members of the manifest; those that become None go."""
    document = {**manifest(folder), **changed, "sha256": None}
    document = {name: value for name, value in document.items() if value is not None}
    (folder / "bundle.json").write_bytes(encoded({**document, "sha256": sha256(encoded(document))}))


def replace_weights(folder: Path, content: bytes) -> None:
    """Put another weight file into a bundle whose manifest says its precision."""
    (folder / "weights.safetensors").write_bytes(content)
    document = manifest(folder)
    parts = {name: document[name] for name in ("spec", "schema", "task", "precision")}
    reseal(
        folder,
        files={**document["files"], "weights.safetensors": sha256(content)},
        fingerprint=sha256(encoded({**parts, "weights": sha256(content)})),
    )
