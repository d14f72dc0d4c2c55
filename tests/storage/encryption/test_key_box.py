"""The wrapped key of a store: what opens it, what does not, and what damage or strangers make of its file."""

import json
import stat
import sys
from types import ModuleType, SimpleNamespace

import pytest

from crdt_sync.errors import KeyUnusable, StoreKeyWrong, StoreLocked, UsageError
from crdt_sync.limits import SCRYPT_COST
from crdt_sync.storage.encryption import key_box, keyrings, unlocking

KEY = bytes(range(32))
CHEAP = 1 << 10


@pytest.fixture(autouse=True)
def _outside(monkeypatch, tmp_path):
    for name in (unlocking.PASSPHRASE_VARIABLE, unlocking.KEY_FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))


def test_a_passphrase_opens_its_box_however_its_letters_are_composed():
    box = key_box.by_passphrase(KEY, "Müller fährt", CHEAP)
    assert key_box.open_by_passphrase(box, "Mu\u0308ller fa\u0308hrt") == KEY
    with pytest.raises(StoreKeyWrong, match="passphrase"):
        key_box.open_by_passphrase(box, "müller fährt")


@pytest.mark.parametrize("passphrase", ["", "x" * 1025])
def test_no_passphrase_and_an_endless_one_are_refused(passphrase):
    with pytest.raises(UsageError, match="1 to 1024"):
        key_box.by_passphrase(KEY, passphrase, CHEAP)


def test_a_box_tells_nothing_of_the_key_and_is_another_one_each_time(tmp_path):
    boxes = [key_box.by_passphrase(KEY, "one", CHEAP) for _ in range(2)]
    assert boxes[0].salt != boxes[1].salt
    key_box.write(tmp_path, boxes[0])
    assert KEY.hex() not in (tmp_path / "store-key").read_text()
    assert stat.S_IMODE((tmp_path / "store-key").stat().st_mode) == 0o600
    assert key_box.read(tmp_path) == boxes[0]


def test_a_passphrase_costs_what_is_recommended():
    assert 128 * 8 * SCRYPT_COST == 128 << 20


@pytest.mark.parametrize("field", ["id", "by", "salt", "cost", "nonce", "wrapped"])
def test_nothing_in_a_box_can_be_changed(tmp_path, field):
    key_box.write(tmp_path, key_box.by_passphrase(KEY, "one", CHEAP))
    file = tmp_path / "store-key"
    told = json.loads(file.read_text())
    told[field] = told[field] * 2 if field == "cost" else "file" if field == "by" else "00" + told[field][2:]
    if field == "by":
        told["cost"] = 0
    file.write_text(json.dumps(told))
    with pytest.raises((StoreKeyWrong, KeyUnusable)):
        key_box.open_by_passphrase(key_box.read(tmp_path), "one")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"crdt-sync store key": 2}', b"\xff\xfe", b'{"crdt-sync store key": 1, "id": 3}',
        b'{"crdt-sync store key": 1, "id": "00", "by": "passphrase", "nonce": "", "wrapped": "", "cost": 1073741824}',
        b'{"crdt-sync store key": 1, "id": "zz", "by": "file", "nonce": "", "wrapped": ""}',
        b'{"crdt-sync store key": 1, "id": "00", "by": "nobody", "nonce": "", "wrapped": ""}',
    ],
)  # fmt: skip
def test_a_file_that_is_no_box_is_told_so(tmp_path, content):
    (tmp_path / "store-key").write_bytes(content)
    with pytest.raises(KeyUnusable, match="holds no key"):
        key_box.read(tmp_path)


def test_a_box_that_is_gone_is_told_with_what_it_means(tmp_path):
    with pytest.raises(KeyUnusable, match="is gone") as raised:
        key_box.read(tmp_path)
    assert "wiped" in raised.value.hint


def test_a_key_file_opens_its_box_and_no_other(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    key_box.make_key_file(mine)
    key_box.make_key_file(other)
    assert stat.S_IMODE(mine.stat().st_mode) == 0o600
    box = key_box.by_key_file(KEY, mine)
    assert box.key(key_box.from_file(mine)) == KEY
    with pytest.raises(StoreKeyWrong, match="key file"):
        box.key(key_box.from_file(other))
    with pytest.raises(KeyUnusable, match="already"):
        key_box.make_key_file(mine)


@pytest.mark.parametrize("content", [b"", b"00" * 31, b"00" * 33, b"no key"])
def test_a_file_without_a_key_is_told_so(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(KeyUnusable, match="holds no key"):
        key_box.from_file(tmp_path / "key")
    with pytest.raises(KeyUnusable, match="No such file"):
        key_box.from_file(tmp_path / "none")


def test_what_unlock_keeps_opens_the_store_until_it_is_forgotten(tmp_path):
    box = key_box.by_passphrase(KEY, "one", CHEAP)
    key_box.write(tmp_path, box)
    with pytest.raises(StoreLocked) as raised:
        unlocking.found_key(tmp_path)
    assert "crdt-sync store unlock" in raised.value.hint
    unlocking.remember(KEY)
    assert unlocking.found_key(tmp_path) == KEY
    assert unlocking.forget(box.id)
    assert not unlocking.forget(box.id)
    with pytest.raises(StoreLocked):
        unlocking.found_key(tmp_path)


def test_a_folder_that_others_may_enter_keeps_no_key(tmp_path):
    folder = tmp_path / "runtime" / "crdt-sync"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(KeyUnusable, match="no folder in memory"):
        unlocking.remember(KEY)
    (folder / key_box.by_passphrase(KEY, "one", CHEAP).id).write_bytes(KEY)
    assert unlocking.remembered(key_box.by_passphrase(KEY, "one", CHEAP).id) is None


def test_another_key_under_the_name_of_this_one_is_none(tmp_path):
    unlocking.remember(KEY)
    (file,) = (tmp_path / "runtime" / "crdt-sync").iterdir()
    file.write_bytes(bytes(32))
    assert unlocking.remembered(file.name) is None


def test_a_passphrase_in_the_environment_and_a_key_file_that_is_named_there_open_it(tmp_path, monkeypatch):
    key_box.write(tmp_path, key_box.by_passphrase(KEY, "one", CHEAP))
    monkeypatch.setenv(unlocking.PASSPHRASE_VARIABLE, "one")
    assert unlocking.found_key(tmp_path) == KEY
    key_box.make_key_file(tmp_path / "key")
    key_box.write(tmp_path, key_box.by_key_file(KEY, tmp_path / "key"))
    (tmp_path / "key").rename(tmp_path / "moved")
    with pytest.raises(KeyUnusable):
        unlocking.found_key(tmp_path)
    monkeypatch.setenv(unlocking.KEY_FILE_VARIABLE, str(tmp_path / "moved"))
    assert unlocking.found_key(tmp_path) == KEY


class KeyringError(Exception):
    pass


@pytest.fixture
def kept(monkeypatch):
    """What a keyring keeps, in the place of the system's."""
    kept: dict[tuple[str, str], str] = {}
    module, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    vars(errors)["KeyringError"] = KeyringError
    vars(module).update(
        get_password=lambda service, name: kept.get((service, name)),
        set_password=lambda service, name, secret: kept.__setitem__((service, name), secret),
        delete_password=lambda service, name: kept.pop((service, name), None),
    )
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return SimpleNamespace(secrets=kept, module=module)


def test_the_keyring_keeps_a_key_that_opens_the_store(tmp_path, kept):
    key_box.write(tmp_path, key_box.wrapped(KEY, "keyring", keyrings.make("mine"), where="mine"))
    assert unlocking.found_key(tmp_path) == KEY
    assert KEY.hex() not in kept.secrets.values()
    keyrings.destroy("mine")
    with pytest.raises(StoreLocked, match="not in the system's keyring"):
        unlocking.found_key(tmp_path)


def test_a_keyring_that_is_locked_and_one_that_is_not_there_are_told(monkeypatch, kept):
    def refuse(*_arguments):
        raise KeyringError("locked")

    kept.module.get_password = kept.module.set_password = refuse
    with pytest.raises(StoreLocked, match="locked"):
        keyrings.read("mine")
    with pytest.raises(KeyUnusable, match="takes no key"):
        keyrings.make("mine")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(KeyUnusable, match="not installed"):
        keyrings.read("mine")
