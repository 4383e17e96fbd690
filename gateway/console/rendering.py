"""Templates and assets: everything escaped, everything from our own origin, nothing inline."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from gateway.console.phrases import amount, counted, distance, event_tone, exact_span, money, span, tone_of, words
from gateway.console.redaction import scrubbed
from gateway.kernel.clock import Clock

_HERE: Final = Path(__file__).parent
_PLACES: Final = {
    "/": "Overview",
    "/queue": "Exceptions",
    "/regions": "Regions",
    "/reconciliation": "Reconciliation",
    "/operations": "Operations",
    "/returns": "Returns",
    "/purchasing": "Purchasing",
    "/channels": "Channels",
    "/backlog": "Backlog",
    "/workers": "Workers",
    "/master-data": "Master data",
    "/explain": "Explain",
}
FILTERED: Final = frozenset({"orders", "positions", "events"})
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Asset(Struct, frozen=True):
    """One file as it is served: its name carries its digest, so it may be kept for ever."""

    name: str
    media_type: str
    content: bytes


class Pages:
    """The console's templates, bound to a clock, and the assets that they name."""

    def __init__(self, clock: Clock, tenant: str) -> None:
        self._clock = clock
        self.assets = {asset.name: asset for asset in map(_asset, sorted((_HERE / "assets").iterdir())) if asset}
        urls = {asset.name.partition("-")[2]: f"/assets/{asset.name}" for asset in self.assets.values()}
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(asset=urls.__getitem__, tenant=tenant, money=money)
        self._environment.filters.update(
            age=self._age,
            ago=self._ago,
            amount=amount,
            at=_at,
            clean=scrubbed,
            counted=counted,
            event_tone=event_tone,
            gap=exact_span,
            span=span,
            tone=tone_of,
            words=words,
        )

    def offer(self, paths: Collection[str]) -> None:
        """Let every page lead to those of the console's places that are among `paths`."""
        self._environment.globals["places_of_console"] = {path: name for path, name in _PLACES.items() if path in paths}

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """One page or fragment. A name that `context` lacks raises."""
        return self._environment.get_template(template).render(context)

    def panel(
        self, name: str, url: str, template: str, context: Mapping[str, Any], *, known: str | None, live: bool = True
    ) -> str | None:
        """A fragment that, when `live`, fetches itself again from `url`; None when the viewer has it (`known`)."""
        body = self.render(template, context)
        digest = hashlib.blake2b(body.encode(), digest_size=9).hexdigest()
        if digest == known:
            return None
        frame = {"name": name, "url": url, "digest": digest, "live": live, "filtered": name in FILTERED}
        return self.render("_panel.html", {**frame, "body": Markup(body)})  # noqa: S704 - escaped by its template

    def _age(self, at: datetime) -> Markup:
        return _time(at, span((self._clock.now() - at).total_seconds()))

    def _ago(self, at: datetime | None) -> Markup:
        return Markup("never") if at is None else _time(at, distance((self._clock.now() - at).total_seconds()))


def _time(at: datetime, text: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), _at(at), text)


def _at(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _asset(path: Path) -> Asset | None:
    media_type = _MEDIA_TYPES.get(path.suffix)
    if media_type is None:
        return None
    content = path.read_bytes()
    return Asset(f"{hashlib.sha256(content).hexdigest()[:12]}-{path.name}", media_type, content)
