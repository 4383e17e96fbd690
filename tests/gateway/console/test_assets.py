import hashlib
import re
import tomllib
from pathlib import Path

import gateway.console
from gateway.console.pages import PANELS
from gateway.console.rendering import Pages
from gateway.kernel.clock import SystemClock

from .conftest import client_of

ASSETS = Path(gateway.console.__file__).parent / "assets"


def test_what_is_vendored_is_what_its_note_says():
    files = tomllib.loads((ASSETS / "VENDORED.toml").read_text())["file"]
    for file in files:
        assert hashlib.sha256((ASSETS / file["name"]).read_bytes()).hexdigest() == file["sha256"]
        assert (ASSETS / file["licence_file"]).read_text()
    ours = {"console.css", "console.js", "mark.svg"}
    assert {path.name for path in ASSETS.iterdir() if path.suffix in (".js", ".css", ".svg")} - ours == {"htmx.min.js"}


async def test_assets_are_served_for_ever_under_names_that_carry_their_digest(closed_console):
    async with client_of(closed_console) as client:
        for name in Pages(SystemClock(), "acme").assets:
            answer = await client.get(f"/assets/{name}")
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")
        assert (await client.get("/assets/..%2fapp.py")).status_code == 404
        assert (await client.get("/assets/VENDORED.toml")).status_code == 404


def test_what_opens_in_the_drawer_stands_only_where_there_is_one():
    templates = Path(gateway.console.__file__).parent / "templates"
    opens = [
        path
        for path in templates.rglob("*.html")
        if re.search(r"order_link\(|drawer_link\(|\"#detail\"", path.read_text())
    ]
    of_overview = {templates / "panels" / f"{name}.html" for name in PANELS}
    elsewhere = [each for each in opens if each not in of_overview and each.parent.name != "details"]
    assert [each.name for each in elsewhere] == ["_parts.html"]
