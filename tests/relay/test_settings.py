"""Settings: precedence, provenance, refusals with a next step, and secrets that stay secret."""

from pathlib import Path

import pytest

from crdt_relay.settings import Settings, load
from crdt_sync.errors import InvalidSettings
from crdt_sync.runtime.network import is_loopback

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CRDT_RELAY_{name.upper()}", raising=False)
    monkeypatch.delenv("CRDT_RELAY_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "relay.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_given_the_defaults_hold(tmp_path: Path) -> None:
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8765)
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", 8766)
    assert settings.data == tmp_path / "share" / "crdt-relay"
    assert set(settings.sources().values()) == {"default"}


def test_flag_beats_environment_beats_file_beats_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = settings_file(tmp_path, 'port = 1\nmetrics_host = "file"\nlog_level = "debug"\n')
    monkeypatch.setenv("CRDT_RELAY_PORT", "2")
    monkeypatch.setenv("CRDT_RELAY_METRICS_HOST", "environment")
    settings = load({"port": 3, "log_format": None}, path)
    assert (settings.port, settings.metrics_host, settings.log_level) == (3, "environment", "debug")
    sources = settings.sources()
    assert sources["port"] == "flag --port"
    assert sources["metrics_host"] == "environment variable CRDT_RELAY_METRICS_HOST"
    assert sources["log_level"] == f"file {path}"
    assert sources["log_format"] == "default"


def test_the_settings_file_is_found_by_variable_and_at_its_usual_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = tmp_path / "config" / "crdt-relay"
    usual.mkdir(parents=True)
    (usual / "crdt-relay.toml").write_text("port = 11\n")
    assert load().port == 11
    monkeypatch.setenv("CRDT_RELAY_CONFIG", str(settings_file(tmp_path, "port = 12\n")))
    assert load().port == 12


def test_paths_in_a_file_are_relative_to_its_folder(tmp_path: Path) -> None:
    assert load(file=settings_file(tmp_path, 'data = "records"\n')).data == tmp_path / "records"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "relay.example.com"])
def test_beyond_this_machine_a_token_is_required(host: str) -> None:
    with pytest.raises(InvalidSettings, match="no token") as refusal:
        load({"host": host})
    assert "crdt-relay token" in refusal.value.hint
    assert "--token-file" in refusal.value.hint
    assert load({"host": host, "token": TOKEN}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_on_this_machine_no_token_is_required(host: str) -> None:
    assert is_loopback(host)
    assert load({"host": host}).token is None


@pytest.mark.parametrize(
    ("token", "complaint"),
    [("x" * 15, "fewer than 16"), ("x" * 5000, "longer"), ("sixteen letters!", "visible ASCII"), ("ü" * 16, "visible")],
)
def test_a_weak_or_unusable_token_is_refused(token: str, complaint: str) -> None:
    with pytest.raises(InvalidSettings, match=complaint) as refusal:
        load({"token": token})
    assert token not in refusal.value.message


def test_a_token_of_sixteen_characters_is_enough() -> None:
    token = load({"token": "x" * 16}).token
    assert token is not None
    assert token.get_secret_value() == "x" * 16


def test_a_token_is_read_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    secret.chmod(0o600)
    settings = load({"token_file": secret})
    assert settings.token is not None
    assert settings.token.get_secret_value() == TOKEN
    assert settings.sources()["token"] == f"token_file {secret}"
    assert settings.warnings() == []
    secret.chmod(0o644)
    assert "chmod 600" in settings.warnings()[0]


def test_a_stronger_source_of_the_token_replaces_a_weaker_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = settings_file(tmp_path, 'token_file = "absent"\n')
    monkeypatch.setenv("CRDT_RELAY_TOKEN", TOKEN)
    assert load(file=path).token_file is None


def test_two_tokens_from_one_source_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="both set"):
        load(file=settings_file(tmp_path, f'token = "{TOKEN}"\ntoken_file = "x"\n'))


def test_a_missing_token_file_is_named() -> None:
    with pytest.raises(InvalidSettings, match="/nowhere/token cannot be read"):
        load({"token_file": "/nowhere/token"})


@pytest.mark.parametrize(("given", "missing"), [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")])
def test_certificate_and_key_come_together(tmp_path: Path, given: str, missing: str) -> None:
    half = tmp_path / "half.pem"
    half.write_text("")
    with pytest.raises(InvalidSettings, match=f"{given} is set, but {missing} is not"):
        load({given: half})
    assert load({given: half, missing: half}).tls_key == half


def test_a_certificate_that_cannot_be_read_is_named_with_its_source() -> None:
    with pytest.raises(InvalidSettings, match=r"tls_certificate \(flag --tls-certificate\): /nowhere/c"):
        load({"tls_certificate": "/nowhere/c", "tls_key": "/nowhere/k"})


def test_a_misspelt_setting_is_named_with_its_file_and_the_likely_one(tmp_path: Path) -> None:
    path = settings_file(tmp_path, "prot = 1\n")
    with pytest.raises(InvalidSettings, match="no setting 'prot'") as refusal:
        load(file=path)
    assert str(path) in refusal.value.message
    assert "'port'" in refusal.value.hint


def test_a_wrong_value_is_reported_with_the_variable_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDT_RELAY_PORT", "70000")
    with pytest.raises(InvalidSettings, match=r"port \(environment variable CRDT_RELAY_PORT\)"):
        load()


def test_the_port_variable_that_kubernetes_sets_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDT_RELAY_PORT", "tcp://10.0.0.1:8765")
    with pytest.raises(InvalidSettings) as refusal:
        load()
    assert "enableServiceLinks" in refusal.value.hint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"port = ", "not valid TOML"),
        (b"port = 1 # \xff", "not UTF-8"),
        (b"port = " + b"1" * 5000, "far too long"),
        (b"port = 0x" + b"F" * 5000, "port .*: Input should be less than"),
        (None, "no settings file"),
    ],
)
def test_an_unreadable_file_is_refused_by_name(tmp_path: Path, text: bytes | None, complaint: str) -> None:
    path = tmp_path / "relay.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(InvalidSettings, match=complaint) as refusal:
        load(file=path)
    assert str(path) in refusal.value.message


def test_the_two_ports_must_differ() -> None:
    with pytest.raises(InvalidSettings, match="both 8766"):
        load({"port": 8766})
    assert load({"port": 8766, "metrics": False}).port == 8766
    assert load({"port": 0, "metrics_port": 0}).port == 0


def test_unencrypted_traffic_beyond_this_machine_is_warned_about() -> None:
    assert "unencrypted" in load({"host": "0.0.0.0", "token": TOKEN}).warnings()[0]
    assert load().warnings() == []


def test_the_secret_is_never_printed(tmp_path: Path) -> None:
    settings = load({"token": TOKEN})
    rows = {name: (value, source) for name, value, source in settings.shown()}
    assert rows["token"] == ("**********", "flag --token")
    assert rows["port"] == ("8765", "default")
    assert rows["tls_key"] == ("", "default")
    assert TOKEN not in repr(settings) + str(settings) + str(settings.model_dump())
    with pytest.raises(InvalidSettings) as refusal:
        load({"token": TOKEN, "port": -1})
    assert TOKEN not in str(refusal.value.as_dict())


def test_a_folder_of_settings_that_cannot_be_looked_into_is_told_and_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    beyond = tmp_path / ("n" * 300)  # no user can open that, not even root
    monkeypatch.setenv("XDG_CONFIG_HOME", str(beyond))
    with pytest.raises(InvalidSettings, match=r"whether there are settings in .*crdt-relay\.toml") as caught:
        load()
    assert "--config" in caught.value.hint
    with pytest.raises(InvalidSettings, match="whether there are settings"):
        load(file=beyond / "relay.toml")
