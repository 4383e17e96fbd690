"""The carrier's books in SQLite: shipments, parcels and their numbered tracking events. Survives ``kill -9``."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from gateway.sandboxes.books import Refusal, SqliteBooks
from system_apis.parcel_carrier.carrier.rates import PARCEL_G, SERVICES, rates

_SCHEMA: Final = """
create table if not exists depot (code text primary key, postcode text not null, country text not null,
    currency text not null);
create table if not exists shipment (id integer primary key autoincrement, reference text not null unique,
    status text not null, body text not null);
create table if not exists event (id integer primary key autoincrement, body text not null);
"""
_TRACKED: Final = {"PU": "COLLECTED", "DLV": "DELIVERED", "RTS": "RETURNED"}
CODES: Final = ("PU", "HUB", "OFD", "DLV", "DLY", "EXC", "RTS")
_LONGEST_REFERENCE: Final = 64


class Books(SqliteBooks):
    """The books of one carrier."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA)

    def seed(self, data: dict[str, Any]) -> None:
        """Fill empty books: ``{"depots": {"D-1": {"postcode", "country", "currency"}}}``."""
        with self.transaction():
            for code, depot in data.get("depots", {}).items():
                self._db.execute(
                    "insert or ignore into depot values (?, ?, ?, ?)",
                    (code, depot["postcode"], depot["country"], depot["currency"]),
                )

    def rates(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """What a consignment costs by each service."""
        depot = self._depot(str(asked["depot"]))
        return rates(depot, asked["to"], int(asked["grams"]), date.fromisoformat(asked["ready_on"]))

    def book(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Take a shipment on; a reference is used once, for ever."""
        reference = asked["reference"]
        if not isinstance(reference, str) or not 0 < len(reference) <= _LONGEST_REFERENCE:
            raise Refusal(422, "BAD_REFERENCE", "reference must have 1 to 64 characters")
        if asked["service"] not in SERVICES:
            raise Refusal(422, "UNKNOWN_SERVICE", f"there is no service {asked['service']!r}")
        offer = next((rate for rate in self.rates(asked) if rate["service"] == asked["service"]), None)
        if offer is None:
            raise Refusal(422, "NOT_SERVED", f"{asked['service']} does not serve that address")
        with self.transaction():
            if self.find(reference):
                raise Refusal(409, "DUPLICATE_REFERENCE", f"{reference!r} is a shipment already")
            count = -(-int(asked["grams"]) // PARCEL_G)
            number = f"PC{self.rows('select coalesce(max(id), 0) n from shipment')[0]['n'] + 1:08d}"
            body = {
                "number": number,
                **{name: asked[name] for name in ("reference", "service", "depot", "to", "grams")},
                **{name: offer[name] for name in ("cents", "currency", "arrives_on")},
                "parcels": [{"tracking_number": f"{number}-{part}"} for part in range(1, count + 1)],
                "tracking_url": f"https://carrier.example/track/{number}",
                "label_url": f"https://carrier.example/labels/{number}.pdf",
            }
            self._db.execute(
                "insert into shipment (reference, status, body) values (?, 'BOOKED', ?)", (reference, json.dumps(body))
            )
        return {**body, "status": "BOOKED"}

    def find(self, reference: str) -> list[dict[str, Any]]:
        """The shipment under a reference, or none."""
        rows = self.rows("select status, body from shipment where reference = ?", reference)
        return [{**json.loads(row["body"]), "status": row["status"]} for row in rows]

    def shipments(self) -> list[dict[str, Any]]:
        """All shipments, as they were booked."""
        rows = self.rows("select status, body from shipment order by id")
        return [{**json.loads(row["body"]), "status": row["status"]} for row in rows]

    def void(self, number: str) -> dict[str, Any]:
        """Void a shipment that was not collected; again changes nothing."""
        with self.transaction():
            found = next((each for each in self.shipments() if each["number"] == number), None)
            if found is None:
                raise Refusal(404, "NOT_FOUND", f"no shipment {number!r}")
            if found["status"] not in ("BOOKED", "VOID"):
                raise Refusal(409, "ALREADY_COLLECTED", f"{number} is on its way")
            self._db.execute("update shipment set status = 'VOID' where reference = ?", (found["reference"],))
        return {**found, "status": "VOID"}

    def track(self, reference: str, code: str, *, place: str | None = None, note: str | None = None) -> None:
        """Something happens to every parcel of a shipment."""
        if code not in CODES:
            raise Refusal(400, "BAD_CODE", f"code must be one of {', '.join(CODES)}")
        with self.transaction():
            [shipment] = self.find(reference) or [{}]
            if shipment.get("status") in (None, "VOID"):
                raise Refusal(409, "NOT_BOOKED", f"nothing is booked under {reference!r}")
            if status := _TRACKED.get(code):
                self._db.execute("update shipment set status = ? where reference = ?", (status, reference))
            for parcel in shipment["parcels"]:
                event = {
                    "event_id": str(uuid.uuid4()),
                    "reference": reference,
                    "tracking_number": parcel["tracking_number"],
                    "code": code,
                    "at": datetime.now(UTC).isoformat(),
                    "place": place,
                    "note": note,
                }
                self._db.execute("insert into event (body) values (?)", (json.dumps(event),))

    def events(self, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """Tracking events after a number."""
        rows = self.rows("select id, body from event where id > ? order by id limit ?", after, limit)
        return [(row["id"], json.loads(row["body"])) for row in rows]

    def _depot(self, code: str) -> dict[str, str]:
        found = self.rows("select postcode, country, currency from depot where code = ?", code)
        if not found:
            raise Refusal(422, "UNKNOWN_DEPOT", f"this account has no depot {code!r}")
        return dict(found[0])
