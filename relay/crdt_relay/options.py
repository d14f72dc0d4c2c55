"""Options that several commands of the relay share."""

import click

from crdt_sync.cli.options import PATH, together

_config = click.option("--config", type=PATH, metavar="FILE", help="Settings file, TOML; see 'serve --show-config'.")
_data = click.option(
    "--data", type=PATH, metavar="DIR", show_default="~/.local/share/crdt-relay", help="Data directory of the relay."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
key_option = click.option(
    "--key-file", type=PATH, metavar="FILE", show_default="space.key among the data", help="Key of the space, PEM."
)
data_options = together(_config, _data)
space_options = together(_config, _data, key_option)
