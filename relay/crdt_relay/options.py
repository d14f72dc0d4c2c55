"""Options that several commands of the relay share: together they say by which settings a command goes."""

from pathlib import Path

import click

from crdt_relay import spaces
from crdt_relay.settings import Settings, load
from crdt_sync.cli.options import PATH, gathered, together
from crdt_sync.runtime.space_paths import DEFAULT

_config = click.option("--config", type=PATH, metavar="FILE", help="Settings file, TOML; see 'serve --show-config'.")
_data = click.option(
    "--data", type=PATH, metavar="DIR", show_default="~/.local/share/crdt-relay", help="Data directory of the relay."
)
_space = click.option(
    "--space", default=DEFAULT, metavar="NAME", show_default=True, help="Which of its spaces; see 'space list'."
)
_key_file = click.option(
    "--key-file", type=PATH, metavar="FILE", show_default="space.key among the data", help="Key of the space, PEM."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
serve_options = together(_config, _data)


def _relay_settings(config: Path | None, data: Path | None) -> Settings:
    return load({"data": data}, config)


def _settings(config: Path | None, data: Path | None, space: str) -> Settings:
    return spaces.settings_of(load({"data": data}, config), space)


def _with_key(config: Path | None, data: Path | None, space: str, key_file: Path | None) -> Settings:
    if space == DEFAULT:
        return load({"data": data, "key_file": key_file}, config)
    found = spaces.settings_of(load({"data": data}, config), space)
    return found if key_file is None else found.model_copy(update={"key_file": key_file})


relay_options = gathered("settings", _relay_settings, _config, _data)
"""The settings of the relay."""
data_options = gathered("settings", _settings, _config, _data, _space)
"""The settings of one of its spaces."""
space_options = gathered("settings", _with_key, _config, _data, _space, _key_file)
"""The same, with the key of the space that is named."""
