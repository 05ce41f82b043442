"""Bundles on disk: whole or refused."""

from __future__ import annotations

import dataclasses
import resource
import shutil

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save as safetensors_save
from sealing import encoded, manifest, reseal, sha256

from tidegate import bundle as bundles
from tidegate.engine import Engine
from tidegate.errors import BundleError, InputError
from tidegate.spec import LayerSpec

FILES = ["bundle.json", "weights.safetensors", "baseline.json", "vectors.safetensors", "card.md"]


@pytest.fixture
def folder(saved_bundle, tmp_path):
    return shutil.copytree(saved_bundle, tmp_path / "small")


def test_what_is_saved_is_loaded(make_bundle, tmp_path):
    made = make_bundle((LayerSpec("gru", 6), LayerSpec("lstm", 3)))
    saved = bundles.save(made, tmp_path / "b")
    loaded = bundles.load(tmp_path / "b")
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == sorted(FILES)
    for member in ("name", "version", "spec", "task", "baseline", "provenance"):
        assert getattr(loaded, member) == getattr(made, member)
    assert loaded.schema.to_dict() == made.schema.to_dict()
    for name, array in made.weights.items():
        assert loaded.weights[name].tobytes() == array.tobytes()
    assert saved.fingerprint == loaded.fingerprint
    Engine.open(loaded)


def test_the_fingerprint_is_that_of_the_model(make_bundle, tmp_path):
    """Equal models may share sessions: name, version and provenance do not matter, weights do."""
    made = make_bundle()
    fingerprints = [
        bundles.save(bundle, tmp_path / str(k)).fingerprint
        for k, bundle in enumerate(
            [
                made,
                dataclasses.replace(made, version="2", provenance={"why": "again"}),
                make_bundle(seed=1),
                dataclasses.replace(made, task=msgspec.structs.replace(made.task, label="other")),
            ]
        )
    ]
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints)) == 3


@pytest.mark.parametrize("name", FILES)
def test_any_changed_byte_is_refused(folder, name):
    content = (folder / name).read_bytes()
    for position in np.random.default_rng(0).integers(0, len(content), 40).tolist():
        spoiled = bytearray(content)
        spoiled[position] ^= 1 << (position % 7)
        (folder / name).write_bytes(spoiled)
        with pytest.raises(BundleError) as caught:
            bundles.load(folder)
        assert caught.value.code in {"bundle_damaged", "bundle_version"}
        assert caught.value.field in {name, "format"}
    (folder / name).write_bytes(content)
    bundles.load(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0, 10, -1])
def test_a_truncated_file_is_refused(folder, name, left):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:left])
    with pytest.raises(BundleError, match=name) as caught:
        bundles.load(folder)
    assert caught.value.code == "bundle_damaged"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name) as caught:
        bundles.load(folder)
    assert (caught.value.code, caught.value.field) == ("bundle_missing", name)


def test_a_bundle_of_a_future_version_is_refused(folder):
    manifest = msgspec.json.decode((folder / "bundle.json").read_bytes())
    manifest |= {"format": 2, "tidegate": "9.0.0"}
    (folder / "bundle.json").write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(BundleError, match=r"9\.0\.0") as caught:
        bundles.load(folder)
    assert caught.value.code == "bundle_version"


def test_a_manifest_that_makes_no_model_is_refused(folder):
    document = manifest(folder)
    reseal(folder)
    bundles.load(folder)
    for changed in (
        {"spec": {**document["spec"], "row_size": 3}},
        {"spec": {**document["spec"], "wings": 2}},
        {"schema": {}},
        {"task": {**document["task"], "classes": ["a", "b", "c"]}},
        {"fingerprint": "xyz"},
        {"fingerprint": "00" * 32},
        {"task": {**document["task"], "label": "other"}},
        {"files": {}},
        {"precision": "int4"},
        {"precision": "bf16"},
        {"precision": 8},
    ):
        reseal(folder, **{**document, **changed})
        with pytest.raises(BundleError) as caught:
            bundles.load(folder)
        assert caught.value.code in {"bundle_damaged", "bundle_weights"}


def test_bundles_from_before_there_were_precisions_are_as_they_were(folder):
    document = manifest(folder)
    assert document["precision"] == "fp32"
    parts = {name: document[name] for name in ("spec", "schema", "task")}
    weights = document["files"]["weights.safetensors"]
    assert document["fingerprint"] == sha256(encoded({**parts, "weights": weights}))
    reseal(folder, precision=None)
    loaded = bundles.load(folder)
    assert (loaded.precision, loaded.fingerprint.hex()) == ("fp32", document["fingerprint"])
    Engine.open(loaded)


def test_a_spec_of_before_there_were_readouts_keeps_its_fingerprint(folder, tmp_path):
    younger = {"readout", "top", "parts", "skip"}
    document = manifest(folder)
    assert not younger & document["spec"].keys()
    loaded = bundles.load(folder)
    again = bundles.save(loaded, tmp_path / "again")
    assert again.fingerprint == loaded.fingerprint == bytes.fromhex(document["fingerprint"])


def test_a_readout_is_part_of_the_fingerprint(make_bundle, tmp_path):
    bundle = make_bundle()
    spec = msgspec.structs.replace(bundle.spec, skip=True)
    skip = np.zeros((1, len(spec.number_columns)), np.float32)
    changed = dataclasses.replace(bundle, spec=spec, weights={**bundle.weights, "head.skip": skip})
    saved = bundles.save(changed, tmp_path / "skip")
    assert saved.fingerprint != bundles.save(bundle, tmp_path / "plain").fingerprint
    assert bundles.load(tmp_path / "skip").spec == spec
    Engine.open(saved)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda w: w.pop("head.bias"), "head.bias is missing"),
        (lambda w: w.update(extra=w["head.bias"]), "extra is no weight"),
        (lambda w: w.update({"head.bias": np.zeros(2, np.float32)}), "the spec says float32"),
        (lambda w: w.update({"head.bias": np.zeros(1)}), "is float64"),
        (lambda w: w.update({"head.bias": np.full(1, np.nan, np.float32)}), "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_never_written(make_bundle, tmp_path, spoil, says):
    made = make_bundle()
    weights = dict(made.weights)
    spoil(weights)
    with pytest.raises(BundleError, match=says):
        bundles.save(dataclasses.replace(made, weights=weights), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["events", "outputs", "encoder", "hidden", "extra"])
def test_test_vectors_with_another_array_are_refused(folder, make_bundle, name):
    made = make_bundle()
    vectors = dict(made.vectors)
    if vectors.pop(name, None) is None:
        vectors[name] = np.zeros(1)
    with pytest.raises(BundleError, match="test vectors") as caught:
        bundles.save(dataclasses.replace(made, vectors=vectors), folder.parent / "b")
    assert caught.value.code == "bundle_vectors"
    assert not (folder.parent / "b").exists()
    content = safetensors_save(vectors)
    (folder / "vectors.safetensors").write_bytes(content)
    files = manifest(folder)["files"]
    reseal(folder, files={**files, "vectors.safetensors": sha256(content)})
    with pytest.raises(BundleError, match="test vectors") as caught:
        bundles.load(folder)
    assert caught.value.code == "bundle_vectors"


@pytest.mark.parametrize("name", ["", "a/b", "../up", "a b", "é", "x" * 129])
def test_bad_names_are_refused(make_bundle, tmp_path, name):
    with pytest.raises(InputError, match="is not a version") as caught:
        bundles.save(dataclasses.replace(make_bundle(), version=name), tmp_path / "b")
    assert caught.value.code == "bad_name"


def test_only_a_bundle_is_ever_replaced(make_bundle, tmp_path):
    made = make_bundle()
    path = tmp_path / "b"
    bundles.save(made, path)
    with pytest.raises(InputError, match="there already"):
        bundles.save(made, path)
    again = bundles.save(dataclasses.replace(made, version="2"), path, overwrite=True)
    assert (again.version, bundles.load(path).version) == ("2", "2")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="there already"):
        bundles.save(made, tmp_path / "notes", overwrite=True)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "notes"]


def test_a_full_disk_leaves_the_old_bundle(make_bundle, tmp_path):
    path = tmp_path / "b"
    old = bundles.save(make_bundle(), path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match="free space") as caught:
            bundles.save(make_bundle(seed=1), path, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (caught.value.code, caught.value.field) == ("cannot_write", str(path))
    assert bundles.load(path).fingerprint == old.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_the_card_says_what_a_reader_needs(saved_bundle):
    card = (saved_bundle / "card.md").read_text()
    for wanted in ("small, version 1", "gru 12", "| speed | numeric |", "'late'", "| driver |"):
        assert wanted in card
