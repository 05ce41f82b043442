"""API keys: made once, kept as hashes, checked, reloaded."""

from __future__ import annotations

import hashlib
import stat

import pytest

from tidegate.errors import InputError
from tidegate.serve.auth import Keys, add_key, key_names, remove_key


def test_a_key_is_accepted_by_its_token_alone(tmp_path):
    file = tmp_path / "keys.toml"
    tokens = {name: add_key(file, name) for name in ("a", "b", "c")}
    keys = Keys.load(file)
    assert len(keys) == 3
    for _ in range(2):  # the second time from memory
        for name, token in tokens.items():
            assert keys.check(f"Bearer {token}") == name
            assert keys.check(f"bearer {token}") == name
    token = tokens["a"]
    for header in (
        None,
        "",
        "Bearer",
        "Bearer ",
        token,
        f"Basic {token}",
        f"Bearer  {token}",
        f"Bearer {token} ",
        f"Bearer {token[:-1]}",
        f"Bearer {token.upper()}",
        f"Bearer {hashlib.sha256(token.encode()).hexdigest()}",
        "Bearer \udcff",
        "Bearer " + "x" * 100_000,
    ):
        assert keys.check(header) is None


def test_the_file_holds_no_token_and_is_its_owners(tmp_path):
    file = tmp_path / "keys.toml"
    token = add_key(file, "a")
    assert token.startswith("tg_")
    assert len(token) == 3 + 43  # 256 bits
    assert file.read_text() == f'a = "sha256:{hashlib.sha256(token.encode()).hexdigest()}"\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert add_key(file, "b") != token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_removed_key_is_refused_after_a_reload(tmp_path):
    file = tmp_path / "keys.toml"
    gone, stays = add_key(file, "gone"), add_key(file, "gone-2")
    keys = Keys.load(file)
    assert keys.check(f"Bearer {gone}") == "gone"
    remove_key(file, "gone")
    new = add_key(file, "new")
    assert keys.check(f"Bearer {new}") is None
    keys.reload()
    found = [keys.check(f"Bearer {token}") for token in (gone, stays, new)]
    assert found == [None, "gone-2", "new"]


def test_a_reload_that_fails_changes_nothing(tmp_path):
    file = tmp_path / "keys.toml"
    token = add_key(file, "a")
    keys = Keys.load(file)
    file.write_text("a = ")
    with pytest.raises(InputError, match="not_toml"):
        keys.reload()
    assert keys.check(f"Bearer {token}") == "a"


def test_comments_stay(tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text("# who: the dashboard")
    add_key(file, "a")
    add_key(file, "b")
    remove_key(file, "a")
    assert file.read_text().startswith('# who: the dashboard\nb = "sha256:')
    assert key_names(file) == ["b"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('a = "tg_abcdef"', "bad_keys"),
        ("a = 7", "bad_keys"),
        (f'a = "sha256:{"F" * 64}"', "bad_keys"),
        (f'a = "sha256:{"f" * 63}"', "bad_keys"),
        (f'"a b" = "sha256:{"f" * 64}"', "bad_keys"),
        (f'[a]\nb = "sha256:{"f" * 64}"', "bad_keys"),
        ("a", "not_toml"),
    ],
)
def test_a_file_of_something_else_is_refused_and_not_quoted(tmp_path, line, code):
    file = tmp_path / "keys.toml"
    file.write_text(line)
    with pytest.raises(InputError) as refused:
        Keys.load(file)
    assert refused.value.code == code
    assert "abcdef" not in str(refused.value)


def test_a_file_that_others_may_write_to_is_refused(tmp_path):
    file = tmp_path / "keys.toml"
    add_key(file, "a")
    file.chmod(0o620)
    with pytest.raises(InputError, match="chmod 600"):
        Keys.load(file)
    file.chmod(0o644)
    assert len(Keys.load(file)) == 1
    with pytest.raises(InputError, match="missing_file"):
        Keys.load(tmp_path / "none")


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ä", "x" * 65, 'a"'])
def test_a_name_that_could_not_be_read_back_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="bad_key_name"):
        add_key(tmp_path / "keys.toml", name)
    assert not (tmp_path / "keys.toml").exists()


def test_a_name_is_taken_once(tmp_path):
    file = tmp_path / "keys.toml"
    add_key(file, "a")
    before = file.read_text()
    with pytest.raises(InputError, match="key_exists"):
        add_key(file, "a")
    with pytest.raises(InputError, match="key_unknown"):
        remove_key(file, "b")
    assert file.read_text() == before
