"""Draw the pictures of docs/joining.md: `python docs/pictures/draw.py`, by what the commands really show.

A relay and two devices run in a temporary directory; each picture is a terminal in which some commands were typed.
"""

import html
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

_HERE = Path(__file__).parent
_SALES = _HERE.parent / "policies" / "sales"
_COLUMNS = 96
# No font from elsewhere, and no window to be closed.
_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>TITLE</title>
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: {char_height}px;
line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}</defs>
<rect width="{width}" height="{height}" rx="8" fill="#1e1e1e" />
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


class _Story:
    """What is typed on machines that share a directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, line: str, settings: Mapping[str, str] | None = None) -> str:
        """What a command shows, errors included."""
        words = [str(Path(sys.executable).parent / (words := shlex.split(line))[0]), *words[1:]]
        settings = {**os.environ, "COLUMNS": str(_COLUMNS), "NO_COLOR": "1", **(settings or {})}
        shown = subprocess.run(
            words,
            cwd=self._folder,
            env=settings,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return shown.stdout.replace(f"{self._folder}/anna", "/home/anna/.local/share/crdt-sync")

    def on(self, device: str, line: str) -> str:
        """What it shows on a device."""
        return self.run(line, {"CRDT_SYNC_STORE": str(self._folder / device)})

    def draw(self, name: str, title: str, typed: Mapping[str, str]) -> None:
        """A terminal in which all that was typed."""
        console = Console(record=True, width=_COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
        for number, (line, shown) in enumerate(typed.items()):
            console.print(Text(f"{'' if number == 0 else chr(10)}$ {line}", style="bold cyan"), soft_wrap=False)
            console.print(Text(shown.rstrip("\n"), style="white"), soft_wrap=False)
        drawn = console.export_svg(code_format=_FORMAT.replace("TITLE", html.escape(title)), unique_id=name)
        (_HERE / f"{name}.svg").write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n", "utf-8")


def main() -> None:
    """Tell the story once."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        story = _Story(folder)
        for name in ("policy.toml", "customers.toml"):
            shutil.copy(_SALES / name, folder)
        program = str(Path(sys.executable).parent / "crdt-relay")
        data = {"CRDT_RELAY_DATA": str(folder / "relay")}
        with subprocess.Popen(
            [program, "serve", "--port", "0", "--no-metrics"],
            env={**os.environ, **data},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as relay:
            try:
                assert relay.stderr is not None
                address = ""
                while not address:
                    found = re.search(r"ws://127\.0\.0\.1:[1-9]\d*", relay.stderr.readline())
                    address = found[0] if found else ""
                _tell(story, data, address)
            finally:
                relay.terminate()


def _tell(story: _Story, data: Mapping[str, str], address: str) -> None:
    story.run("crdt-relay policy apply policy.toml", data)

    def invited(user: str) -> tuple[str, str]:
        shown = story.run(f"crdt-relay invite {user} --address {address}", data)
        link = re.search(r"CRDT-SYNC://\S+?(?=')", shown)
        assert link is not None, shown
        return shown, link[0]

    _, link = invited("chen")
    story.on("chen", "crdt-sync init chen-laptop --schema customers.toml")
    story.on("chen", f"crdt-sync join '{link}'")
    made = story.on(
        "chen", "crdt-sync set customers name='Müller GmbH' region=North stage=lead iban=DE02120300000000202051"
    )
    record = re.search(r"customers/\w+", made)
    assert record is not None, made
    story.on("chen", "crdt-sync sync")

    def tidy(shown: str) -> str:
        return shown.replace(address, "wss://relay.example.org")

    shown, link = invited("anna")
    story.draw(
        "invite",
        "The operator invites a device of anna: a picture for cameras, and a link",
        {"crdt-relay invite anna": tidy(shown)},
    )
    story.on("anna", "crdt-sync init anna-phone")
    joined = {
        f"crdt-sync join '{link[:28]}…'": tidy(story.on("anna", f"crdt-sync join '{link}'")),
        "crdt-sync sync": tidy(story.on("anna", "crdt-sync sync")),
        "crdt-sync list customers": story.on("anna", "crdt-sync list customers"),
        "crdt-sync whoami": tidy(story.on("anna", "crdt-sync whoami")),
    }
    story.draw("join", "The device joins, syncs, lists what its user may hold, and tells who it is", joined)
    short = record[0][:14]
    line = f"crdt-sync set {short} region=South"
    story.draw(
        "forbidden", "A change that the policy does not allow is refused on the device", {line: story.on("anna", line)}
    )
    story.on("anna", f"crdt-sync set {short} phone='+49 30 901820'")
    line = "crdt-relay device revoke anna-phone --wipe"
    story.draw("revoke", "The operator shuts a stolen phone out", {line: story.run(line, data)})
    gone = {line: tidy(story.on("anna", line)) for line in ("crdt-sync sync", "crdt-sync list customers")}
    story.draw("wiped", "What the thief sees", gone)


if __name__ == "__main__":
    main()
