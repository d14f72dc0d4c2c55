"""What the relay is told: by a TOML file, the environment and flags, in rising order of precedence.

    port = 9000              in crdt-relay.toml
    CRDT_RELAY_PORT=9001     stronger than the file
    --port 9002              stronger than both

`load` checks everything before anything is opened; `Settings.sources` says of each value where it came from.
Secrets are never printed: they show as `**********`.
"""

import difflib
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, IPvAnyNetwork, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from crdt_sync import limits
from crdt_sync.errors import InvalidSettings
from crdt_sync.key_files import open_to_others
from crdt_sync.protocol.quotas import Allowance, Bounds, Rate
from crdt_sync.runtime.hosting.proxies import ForwardedHeader
from crdt_sync.runtime.network import is_loopback
from crdt_sync.runtime.space_paths import DEFAULT, at_space

ENVIRONMENT_PREFIX: Final = "CRDT_RELAY_"
TOKEN_LENGTH_MIN: Final = 16  # characters; shorter ones can be guessed
TOKENS_MAX: Final = 2  # in a token file: the one to use, and the one before it, during a rotation
QUOTAS: Final = (
    *(f"quota_{kind}_{what}" for kind in ("session", "device", "user", "space") for what in Allowance._fields),
    *(f"rate_{kind}_{what}" for kind in ("device", "user", "space") for what in Rate._fields),
    "rate_burst",
    "store_bytes_max",
)
_CERTIFICATES: Final = ("tls_certificate", "tls_key", "proxy_certificate")
_OIDC: Final = ("oidc_issuer", "oidc_audience", "oidc_keys")
_OIDC_MORE: Final = ("oidc_claim", "oidc_scope")
_AUDIT: Final = ("audit_days", "audit_bytes")
_PROXIES: Final = ("trusted_proxies", "proxy_header")
LIVE: Final = frozenset(
    {"token", "token_file", *_CERTIFICATES, *_PROXIES, "address", "log_format", "log_level", *_AUDIT, *QUOTAS}
)
"""What a running relay takes over; the others need a start."""
DEFAULT_SOURCE: Final = "default"
_PATHS: Final = (
    "data", "token_file", "tls_certificate", "tls_key", "key_file", "proxy_certificate", "store_key_file",
)  # fmt: skip
SPACE_KEY_FILE: Final = "space.key"
OF_A_SPACE: Final = frozenset(
    {"address", "key_file", "store_key_file", "sessions_max", "audit", *_AUDIT, *_OIDC, *_OIDC_MORE, *QUOTAS}
)  # fmt: skip
"""What each space may have for itself."""
_MAKE_TOKEN: Final = "crdt-relay token FILE"


def _listed(value: object) -> object:
    """A list as the environment has it: with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Port = Annotated[int, Field(ge=0, le=65535)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_listed)]
Quota = Annotated[int, Field(ge=0)] | None
PerSecond = Annotated[int, Field(ge=1)] | None


class Settings(BaseSettings):
    """The relay's settings, checked. Make them with `load`."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False
    )

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: Port = Field(default=8765, description="port to listen on; 0 takes a free one")
    data: Path = Field(
        default_factory=lambda: _user_folder("XDG_DATA_HOME", ".local/share"), description="data directory"
    )
    token: SecretStr | None = Field(default=None, description="what devices must present; at least 16 characters")
    token_file: Path | None = Field(default=None, description="file that holds the token")
    tls_certificate: Path | None = Field(default=None, description="certificate chain, PEM")
    tls_key: Path | None = Field(default=None, description="private key of the certificate, PEM")
    key_file: Path | None = Field(
        default=None, description="key of the space, PEM; else space.key in the data directory"
    )
    proxy_certificate: Path | None = Field(
        default=None, description="certificate of the proxy that ends TLS before the relay, PEM"
    )
    trusted_proxies: Networks = Field(
        default=(), description="addresses or networks of proxies that tell who called them, with commas between"
    )
    proxy_header: ForwardedHeader = Field(
        default="x-forwarded-for", description="header by which they do: x-forwarded-for or forwarded"
    )
    address: str | None = Field(default=None, description="address that invites name, ws:// or wss://")
    store_key_file: Path | None = Field(default=None, description="file with the key that opens the encrypted store")
    sessions_max: int = Field(
        default=limits.SESSIONS_MAX, ge=1, le=limits.SESSIONS_MAX, description="devices connected at once"
    )
    ping_interval: float = Field(
        default=limits.PING_S_MAX,
        ge=limits.PING_S_MIN,
        le=limits.PING_S_MAX,
        description="seconds of silence after which a device is asked whether it lives",
    )
    quota_session_bytes: Quota = Field(default=None, description="bytes of updates that one session may store")
    quota_session_records: Quota = Field(default=None, description="new records that one session may store")
    quota_session_growth: Quota = Field(default=None, description="bytes by which one session may grow one record")
    quota_device_bytes: Quota = Field(default=None, description="bytes of updates a device may store in a day, UTC")
    quota_device_records: Quota = Field(default=None, description="new records that a device may store in a day")
    quota_device_growth: Quota = Field(default=None, description="bytes by which a device may grow one record in a day")
    quota_user_bytes: Quota = Field(default=None, description="bytes that all devices of a user may store in a day")
    quota_user_records: Quota = Field(default=None, description="new records that they may store in a day")
    quota_user_growth: Quota = Field(default=None, description="bytes by which they may grow one record in a day")
    quota_space_bytes: Quota = Field(default=None, description="bytes that all devices of a space may store in a day")
    quota_space_records: Quota = Field(default=None, description="new records that they may store in a day")
    quota_space_growth: Quota = Field(default=None, description="bytes by which they may grow one record in a day")
    rate_device_bytes: PerSecond = Field(default=None, description="bytes a second of a device, over a burst")
    rate_device_updates: PerSecond = Field(default=None, description="updates a second of a device")
    rate_user_bytes: PerSecond = Field(default=None, description="bytes a second of all devices of a user")
    rate_user_updates: PerSecond = Field(default=None, description="updates a second of all devices of a user")
    rate_space_bytes: PerSecond = Field(default=None, description="bytes a second of all devices of a space")
    rate_space_updates: PerSecond = Field(default=None, description="updates a second of all devices of a space")
    rate_burst: int = Field(
        default=limits.RATE_BURST_S,
        ge=1,
        le=limits.RATE_BURST_S_MAX,
        description="seconds of each rate that may come at once",
    )
    store_bytes_max: Quota = Field(default=None, description="bytes of the store beyond which nothing more is taken")
    audit: bool | None = Field(default=None, description="keep an audit log; without a word: where the space has users")
    audit_days: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="days after which entries of the audit log are dropped"
    )
    audit_bytes: Annotated[int, Field(ge=1_000_000)] | None = Field(
        default=None, description="bytes of the audit log beyond which its oldest entries are dropped"
    )
    oidc_issuer: str | None = Field(
        default=None, min_length=1, description="login system whose users may join, as 'iss'"
    )
    oidc_audience: str | None = Field(default=None, min_length=1, description="what its id tokens are for")
    oidc_keys: str | None = Field(default=None, min_length=1, description="its JWKS: an https:// address, or a file")
    oidc_scope: str = Field(
        default="openid email", min_length=1, description="what a device that logs in asks the login system to tell"
    )
    oidc_claim: str = Field(default="email", min_length=1, description="claim of id tokens that names the user")
    metrics: bool = Field(default=True, description="serve /metrics, /healthz and /readyz")
    metrics_host: str = Field(default="127.0.0.1", min_length=1, description="address of the metrics")
    metrics_port: Port = Field(default=8766, description="port of the metrics; 0 takes a free one")
    log_format: Literal["console", "json"] = Field(default="console", description="form of the log lines")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe level logged"
    )

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)
    _token_before: SecretStr | None = PrivateAttr(default=None)
    _space: str = PrivateAttr(default=DEFAULT)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` passes: it reads the other sources itself, to know which value came from where."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, missing = ("tls_certificate", "tls_key")[:: 1 if self.tls_key is None else -1]
            raise InvalidSettings(f"{given} is set, but {missing} is not", f"Set {missing} as well, or neither.")
        if self.token is not None:
            check_token(self.token.get_secret_value())
        elif not is_loopback(self.host) and not self.space_key.exists():
            raise InvalidSettings(
                f"host {self.host!r} can be reached from other machines, but no token is set",
                f"Make a token with '{_MAKE_TOKEN}' and name that file with --token-file, say who may do what with "
                "'crdt-relay policy apply FILE', or listen on 127.0.0.1.",
            )
        oidc = {name: getattr(self, name) is not None for name in _OIDC}
        if any(oidc.values()) and not all(oidc.values()):
            missing = ", ".join(name for name, given in oidc.items() if not given)
            raise InvalidSettings(f"a login system is named, but not {missing}", "Set all three, or none of them.")
        keys = urlsplit(self.oidc_keys or "")
        if keys.scheme == "http" and not is_loopback(keys.hostname or ""):
            raise InvalidSettings("oidc_keys is fetched without encryption", "Name an https:// address, or a file.")
        if self.metrics and self.port == self.metrics_port != 0 and self.host == self.metrics_host:
            raise InvalidSettings(f"port and metrics_port are both {self.port}", "Choose another metrics_port.")
        return self

    @property
    def space(self) -> str:
        """The space that goes by them."""
        return self._space

    def of_space(self, name: str, folder: Path, own: Mapping[str, Any], file: Path) -> "Settings":
        """Those of a space in `folder`: its `own` from `file`, of `OF_A_SPACE`, and the rest as it is here, but for
        keys, tokens and login system. Raises `InvalidSettings`.
        """
        address = None if self.address is None else at_space(self.address, name)
        foreign = sorted(set(own) - OF_A_SPACE)
        if foreign:
            raise InvalidSettings(
                f"{foreign[0]!r} in {file} is no setting of a space",
                f"A space has for itself: {', '.join(sorted(OF_A_SPACE))}. Others are the relay's.",
            )
        typed = validated(dict(own), dict.fromkeys(own, f"file {file}"))
        others = dict.fromkeys(("token", "token_file", "key_file", "store_key_file", *_OIDC))  # of one company alone
        values = {name: getattr(typed, name) for name in own}
        found = self.model_copy(update={**others, "data": folder, "address": address, **values})
        found._token_before, found._space = None, name
        return found

    @property
    def bounds(self) -> Bounds:
        """What may be stored in the space, and how fast."""
        session, device, user, space = (
            Allowance(*(getattr(self, f"quota_{kind}_{what}") for what in Allowance._fields))
            for kind in ("session", "device", "user", "space")
        )
        rates = [
            Rate(*(getattr(self, f"rate_{kind}_{what}") for what in Rate._fields))
            for kind in ("device", "user", "space")
        ]
        return Bounds(session, device, user, space, rates[0], rates[1], rates[2], self.rate_burst, self.store_bytes_max)

    @property
    def space_key(self) -> Path:
        """Where the key of the space is, if it has identities."""
        return self.key_file if self.key_file is not None else self.data / SPACE_KEY_FILE

    @property
    def tokens(self) -> tuple[str, ...]:
        """What devices may present: the token, and the one before it while the file still holds that."""
        return tuple(each.get_secret_value() for each in (self.token, self._token_before) if each is not None)

    def sources(self) -> dict[str, str]:
        """For each setting: `default`, `file <path>`, `environment variable <name>` or `flag <name>`."""
        return {name: self._sources.get(name, DEFAULT_SOURCE) for name in type(self).model_fields}

    def shown(self) -> list[tuple[str, str, str]]:
        """Rows of (setting, value, source) for `--show-config`, without secrets."""
        sources = self.sources()
        return [(name, _shown(getattr(self, name)), sources[name]) for name in sources]

    def warnings(self) -> list[str]:
        """What is allowed but unwise; one sentence each."""
        warnings = []
        if not is_loopback(self.host) and self.tls_certificate is None:
            warnings.append(
                "Tokens and records cross the network unencrypted: set tls_certificate and tls_key, "
                "unless a proxy in front of the relay does the encryption."
            )
        if self.token_file is not None and stat.S_IMODE(self.token_file.stat().st_mode) & 0o077:
            warnings.append(f"Other users of this machine may read {self.token_file}: run 'chmod 600' on it.")
        if open_to_others(self.space_key):
            warnings.append(f"Other users of this machine may read {self.space_key}: run 'chmod 600' on it.")
        return warnings


def load(flags: Mapping[str, object] | None = None, file: Path | None = None) -> Settings:
    """Settings from `file`, `CRDT_RELAY_*` and `flags` (`None` = not given). Raises `InvalidSettings`.

    Without `file`, `CRDT_RELAY_CONFIG` names it; without that, `$XDG_CONFIG_HOME/crdt-relay/crdt-relay.toml` is read
    if it exists. Paths in a file are relative to its folder.
    """
    path = _settings_file(file)
    levels = [
        (from_file(path) if path else {}, f"file {path}"),
        (EnvSettingsSource(Settings)(), "environment variable"),
        ({name: value for name, value in (flags or {}).items() if value is not None}, "flag"),
    ]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for given, source in levels:
        if "token" in given and "token_file" in given:
            raise InvalidSettings(f"token and token_file are both set ({source})", "Keep one of them.")
        for weaker, stronger in (("token", "token_file"), ("token_file", "token")):
            if stronger in given:
                values.pop(weaker, None)
                sources.pop(weaker, None)
        values |= given
        sources |= {name: _source(source, name) for name in given}
    if values.get("token_file") is not None:
        values["token"], *before = _read_tokens(Path(str(values["token_file"])).expanduser())
        sources["token"] = f"token_file {values['token_file']}"
        settings = validated(values, sources)
        settings._token_before = before[0] if before else None
        return settings
    return validated(values, sources)


def validated(values: dict[str, Any], sources: dict[str, str]) -> Settings:
    """Settings with these values, each checked; `sources` names where they came from. Raises `InvalidSettings`."""
    for name in _PATHS:
        if isinstance(values.get(name), str):
            values[name] = Path(values[name]).expanduser()
    for name in ("tls_certificate", "tls_key", "store_key_file"):
        if isinstance(values.get(name), Path):
            _check_readable(name, values[name], sources[name])
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _explained(error, values, sources) from None
    settings._sources.update(sources)
    return settings


def _explained(error: ValidationError, values: Mapping[str, Any], sources: Mapping[str, str]) -> InvalidSettings:
    lines, hints = [], []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        place = f" ({sources[name]})" if name in sources else ""
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name, Settings.model_fields, n=1)
            lines.append(f"there is no setting {name!r}{place}")
            hints.append(f"Did you mean {close[0]!r}?" if close else "'crdt-relay serve --show-config' lists them all.")
            continue
        lines.append(f"{name}{place}: {problem['msg']}")
        if isinstance(given := values.get(name), str) and given.startswith("tcp://") and "environment" in place:
            hints.append(
                f"Kubernetes sets {ENVIRONMENT_PREFIX}PORT by itself for a service called crdt-relay: "
                "set enableServiceLinks: false in the pod, or rename the service."
            )
    return InvalidSettings("; ".join(lines), "\n".join(hints) or "'crdt-relay serve --help' describes every setting.")


def _settings_file(file: Path | None) -> Path | None:
    variable = os.environ.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    named = file or (Path(variable) if variable else None)
    if named is None:
        usual = _user_folder("XDG_CONFIG_HOME", ".config") / "crdt-relay.toml"
        return usual if _is_file(usual) else None
    named = named.expanduser().absolute()
    if not _is_file(named):
        raise InvalidSettings(f"there is no settings file {named}", "Create it, or leave out --config.")
    return named


def _is_file(path: Path) -> bool:
    """Whether settings are there. Raises `InvalidSettings` where that cannot be told: none may be skipped unread."""
    try:
        return path.is_file()
    except OSError as error:
        raise InvalidSettings(
            f"it cannot be told whether there are settings in {path}: {error.strerror}",
            "Give this user access to that folder, name another with XDG_CONFIG_HOME, or another file with --config.",
        ) from error


def from_file(path: Path) -> dict[str, Any]:
    """What a settings file says, unchecked. Raises `InvalidSettings`."""
    try:
        values = TomlConfigSettingsSource(Settings, toml_file=path)()
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"{path} is not valid TOML: {error}", "Correct that line.") from error
    except RecursionError as error:
        raise InvalidSettings(f"{path} is nested too deeply", "Settings have one level.") from error
    except UnicodeDecodeError as error:
        raise InvalidSettings(f"{path} is not UTF-8 text", "Save it as UTF-8.") from error
    except ValueError as error:
        raise InvalidSettings(f"a number in {path} is far too long", "Shorten it.") from error
    except OSError as error:
        raise InvalidSettings(f"{path} cannot be read: {error.strerror}", "Check its permissions.") from error
    return {
        name: str(path.parent / Path(value).expanduser()) if name in _PATHS and isinstance(value, str) else value
        for name, value in values.items()
    }


def _source(source: str, name: str) -> str:
    if source == "flag":
        return f"flag --{name.replace('_', '-')}"
    return f"{source} {ENVIRONMENT_PREFIX}{name.upper()}" if source == "environment variable" else source


def _read_tokens(path: Path) -> list[SecretStr]:
    """The token, and during a rotation the one before it on a second line."""
    _check_readable("token_file", path, "")
    try:
        lines = path.read_text("utf-8").split("\n")
        tokens = [line.strip() for line in lines if line.strip()] or [""]
        if len(tokens) > TOKENS_MAX:
            raise InvalidSettings(
                f"token_file {path} has {len(tokens)} lines",
                "Keep the new token, and the one before it on a second line.",
            )
        for token in tokens[1:]:
            check_token(token)
        return [SecretStr(token) for token in tokens]
    except UnicodeDecodeError:
        raise InvalidSettings(f"token_file {path} is not text", f"Make a token with: {_MAKE_TOKEN}") from None


def check_token(token: str) -> None:
    """Raise `InvalidSettings` if `token` can be guessed or cannot travel."""
    if len(token) < TOKEN_LENGTH_MIN:
        raise InvalidSettings(
            f"the token has {len(token)} characters, fewer than {TOKEN_LENGTH_MIN}",
            f"Make one with: {_MAKE_TOKEN}",
        )
    if len(token) > limits.TOKEN_LENGTH_MAX:
        raise InvalidSettings(f"the token is longer than {limits.TOKEN_LENGTH_MAX} characters", "Take a shorter one.")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidSettings("the token holds characters other than visible ASCII", f"Make one with: {_MAKE_TOKEN}")


def _check_readable(name: str, path: Path, source: str) -> None:
    place = f" ({source})" if source else ""
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise InvalidSettings(
            f"{name}{place}: {path} cannot be read: {error.strerror}", "Correct the path or its permissions."
        ) from error


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _user_folder(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback) / "crdt-relay"
