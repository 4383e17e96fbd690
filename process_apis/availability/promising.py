"""Promising stock to one order or to many: locked together, decided one after the other, written together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.canonical.events import Event
from gateway.canonical.kit import Kit
from gateway.canonical.stock import ClaimedLine, ClaimRequest, ClaimState, Fill
from gateway.canonical.substitute import Substitute
from gateway.kernel.errors import Conflict
from gateway.kernel.ids import new_ids
from gateway.kernel.quantity import plain
from gateway.store.arrays import Element, array, column_arrays
from gateway.store.queries import queries_beside
from process_apis.availability.fulfilling import claim_event
from process_apis.availability.kitting import Counter, Shelves, serve
from process_apis.availability.leaving import Departures
from process_apis.availability.lines import LineRow, Reserved, tell_reserved
from process_apis.availability.lots import LotStock, decode_lots, with_lots
from process_apis.availability.models import ChannelRule, Held, LineKey, Need, Portion, StockLine
from process_apis.availability.rules import usable
from process_apis.availability.selling import allotment_of, drawn_after, offer, terms_at, unreserved
from process_apis.availability.sourcing import fitting, lacking, source_in_time, whole
from process_apis.availability.substituting import Allowed, Chosen, Served, marked, offers, substituted

_sql: Final = queries_beside(__file__)
_of_kits: Final = queries_beside(__file__, "kit_queries.sql")
_of_substitutes: Final = queries_beside(__file__, "substitute_queries.sql")
_ZERO: Final = Decimal(0)
_NONE: Final[Allowed] = {}
_NOTHING: Final = Held()
_replace: Final = msgspec.structs.replace
_encode: Final = msgspec.json.Encoder().encode

INSERT_CLAIMS: Final = _sql.insert_claims

CounterKey = tuple[str, str, str, str | None]
"""Item, channel, owner, the allotment that is drawn from."""


class Promise(Struct, frozen=True):
    """What was promised to one order, not written yet."""

    request: ClaimRequest
    rule: ChannelRule
    made: Sequence[ClaimedLine]
    digest: bytes
    version: int
    expires_at: datetime | None

    @property
    def pinned(self) -> frozenset[int]:
        """The lines that named their location."""
        return frozenset(line.line for line in self.request.lines if line.location is not None)

    @property
    def keys(self) -> list[LineKey]:
        """The stock line of each of `made`."""
        return [LineKey(claim.item, claim.location, self.rule.terms.owner) for claim in self.made]


class Shelf:
    """The stock lines of some items, locked until the transaction ends, less what was promised of them since."""

    def __init__(self, tenant: str, rows: Iterable[LineRow], departures: Departures, kits: Mapping[str, Kit]) -> None:
        self._tenant = tenant
        self._kits = kits
        self._departures = departures
        self._rows: dict[LineKey, LineRow] = {}
        self._lines: dict[str, dict[LineKey, StockLine]] = defaultdict(dict)
        for row in rows:
            key = row.key
            self._rows[key] = row
            self._lines[row.item][key] = row.line
        self._held: dict[str, dict[tuple[str, str], Held]] = defaultdict(dict)
        self._taken: dict[LineKey, Decimal] = defaultdict(Decimal)
        self._causes: dict[LineKey, str] = {}
        self._counters: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._substituted: list[tuple[ClaimRequest, ChannelRule, Chosen]] = []

    @classmethod
    async def lock(
        cls,
        connection: Connection,
        tenant: str,
        orders: Sequence[str],
        items: Sequence[str],
        departures: Departures,
        kits: Mapping[str, Kit] = {},
    ) -> Shelf:
        """Lock `orders` (sorted), then all stock lines of `items` in the one order of stock lines.

        `kits` are those of the items that are put together where there are not enough; `items` has their components.
        """
        rows = await connection.fetch(_sql.lock_shelf, tenant, array(orders), array(items))
        return cls(tenant, [LineRow(*row) for row in rows], departures, kits)

    @classmethod
    def of_look(cls, tenant: str, columns: Mapping[str, Any], departures: Departures) -> Shelf:
        """What was read of some items without locking them, column by column: see `optimistic.py`."""
        found = [columns[name] or () for name in LineRow._fields]
        return cls(tenant, map(LineRow._make, zip(*found, strict=True)), departures, {})

    def as_read(self, items: Collection[str]) -> Shelf:
        """The lines of some items as if nothing had been promised of them."""
        rows = [row for key, row in self._rows.items() if key.item in items]
        return Shelf(self._tenant, rows, self._departures, self._kits)

    @property
    def taken(self) -> Mapping[LineKey, Decimal]:
        """What was promised of each line."""
        return self._taken

    def line(self, key: LineKey) -> StockLine:
        """A line, less what was promised of it."""
        return self._lines[key.item][key]

    def count(self, head: Any, today: Callable[[str], date]) -> None:
        """What channels hold already, and lots, from the `claim_heads` that were read behind the locks of these items.

        `today` gives the date at a location.
        """
        if head["lots"] is not None:
            self._date_lots(decode_lots(head["lots"]), today)
        for item, channel, owner, opened, counted, allotment, drawn in _counter_rows(head):
            self._held[item][channel, owner] = Held(Decimal(opened), counted, allotment, Decimal(drawn))

    def amend(self, rows: Iterable[Mapping[str, Any]], counters: Mapping[str, Any]) -> None:
        """Tell of these `rows` of lines and `counters` (columns as in `claim_heads`) instead of what was read unlocked.

        Rows and versions are those before what was taken, what is open of a counter is with it.
        """
        for row in rows:
            changed = LineRow(**row)
            self._rows[changed.key] = changed
        for item, channel, owner, opened, counted, allotment, drawn in _counter_rows(counters):
            self._counters[item, channel, owner] = _counter_told(channel, owner, opened, counted, allotment, drawn)

    def settle(self, promises: Sequence[Promise]) -> None:
        """Of what was promised, only `promises` hold: nothing more was taken. What is left at lines stays as it is."""
        self._taken.clear()
        self._causes.clear()
        for promise in promises:
            for key, claim in zip(promise.keys, promise.made, strict=True):
                self._taken[key] += claim.amount
                self._causes.setdefault(key, promise.request.correlation_id)

    def _date_lots(self, lots: Sequence[LotStock], today: Callable[[str], date]) -> None:
        for item in {lot.item for lot in lots} & self._lines.keys():
            lines = with_lots(self._lines[item].values(), [lot for lot in lots if lot.item == item], today)
            self._lines[item] = {LineKey(line.item, line.location, line.owner): line for line in lines}

    def promise(
        self,
        request: ClaimRequest,
        rule: ChannelRule,
        fencing: Sequence[ChannelRule],
        needs: Sequence[Need],
        now: datetime,
        accepted: Allowed = _NONE,
        offered: Allowed = _NONE,
    ) -> list[ClaimedLine]:
        """Take `needs` off the shelf, as far as `request.fill` says. Raises `Conflict` (``stock.insufficient``).

        `fencing`: see `offer`. Places count as in time by what leaves them `now`. An override takes what is available,
        whatever rules keep back. What is `accepted` stands in for lines that lack something; what is `offered` is told
        in the refusal.
        """
        terms = (unreserved(rule), ()) if request.override else (rule, fencing)
        portions, chosen = self._decide(*terms, needs, request, now, accepted, offered)
        self._substituted += [(request, rule, each) for each in chosen]
        owner, holder, why = rule.terms.owner, (rule.channel, rule.terms.owner), request.correlation_id
        made = []
        for claim, (number, item, location, amount, kit, per_kit) in zip(
            new_ids("clm", len(portions)), portions, strict=True
        ):
            key = LineKey(item, location, owner)
            lines, held = self._lines[item], self._held[item]
            line = lines[key]
            lines[key] = _replace(line, reserved=line.reserved + amount)
            self._taken[key] += amount
            self._causes.setdefault(key, why)
            held[holder] = drawn_after(held.get(holder, _NOTHING), allotment_of(rule.terms, item), amount)
            made.append(
                ClaimedLine(
                    claim=claim,
                    line=number,
                    item=item,
                    location=location,
                    amount=amount,
                    state=ClaimState.RESERVED,
                    kit=kit,
                    per_kit=per_kit,
                )
            )
        return made

    def _decide(
        self,
        rule: ChannelRule,
        fencing: Sequence[ChannelRule],
        needs: Sequence[Need],
        request: ClaimRequest,
        now: datetime,
        accepted: Allowed,
        may_serve: Allowed,
    ) -> tuple[Sequence[Portion], Sequence[Chosen]]:
        items = {need.item for need in needs}
        kits = {item: self._kits[item] for item in items & self._kits.keys()} if self._kits else {}
        items |= {part.item for kit in kits.values() for part in kit.components}
        if accepted or may_serve:
            items |= {each.item for some in (*accepted.values(), *may_serve.values()) for each in some}
        sellable: dict[str, Decimal] = {}
        stock: dict[str, Mapping[str, Decimal]] = {}
        for item in items & self._lines.keys():
            found = offer(item, list(self._lines[item].values()), rule, fencing, self._held.get(item, {}))
            stock[item], sellable[item] = found.places, found.sellable
        places = {place for some in stock.values() for place in some}
        order, late = self._departures.preferred(self._tenant, places, now), frozenset[str]()
        if request.need_by is not None:
            late = self._departures.late(self._tenant, places, now, request.need_by, request.ship_to)
        prompt = [place for place in order if place not in late] if late else order
        there = Served(needs, (), stock, sellable)
        if accepted:
            there = substituted(needs, accepted, stock, sellable, request.fill)
        if kits:
            shelves = Shelves(there.stock, there.sellable)
            portions, missing = self._decide_kits(rule, there.needs, request.fill, kits, shelves, order, prompt)
        else:
            portions, missing = _served(there, request.fill, order, prompt, late)
        if missing:
            lines = {need.line for need in missing}
            may = offers(needs, may_serve, stock, sellable) if may_serve else {}
            raise _insufficient([need for need in needs if need.line in lines], may)
        return (marked(portions, there.chosen), there.chosen) if there.chosen else (portions, ())

    def _decide_kits(
        self,
        rule: ChannelRule,
        needs: Sequence[Need],
        fill: Fill,
        kits: Mapping[str, Kit],
        shelves: Shelves,
        order: Sequence[str],
        prompt: Sequence[str],
    ) -> tuple[Sequence[Portion], Sequence[Need]]:
        """Kits are in time as an order: all of it from `prompt`, else from anywhere."""
        terms = {item: terms_at(rule, item) for item in kits}
        sold_at = {item: frozenset(place for place in order if usable(place, terms[item]) is not None) for item in kits}
        if len(prompt) < len(order):
            portions, missing = serve(needs, Counter(kits, sold_at), shelves.at(prompt), prompt, "complete")
            if not missing:
                return portions, ()
        return serve(needs, Counter(kits, sold_at), shelves, order, fill)

    def write(self, writes: GathersWrites, promises: Sequence[Promise], now: datetime) -> None:
        """Give `promises`, which are all that was taken, to `writes`, with the events of the lines that change."""
        tenant, keys = self._tenant, sorted(self._taken)
        rows = [(*key, self._taken[key]) for key in keys]
        writes.add(_sql.reserve_lines, tenant, *column_arrays(rows))
        self.write_claims(writes, promises, now)
        write_actions(writes, tenant, promises)
        sums = counter_sums(promises)
        writes.add(
            _sql.raise_channels, tenant, *column_arrays([(*counter, amount) for counter, amount in sums.items()])
        )
        self.tell(writes, sums, now)

    def tell(self, writes: GathersWrites, sums: Mapping[CounterKey, Decimal], now: datetime) -> None:
        """Let `writes` tell the log of the lines that were taken from; `sums` is what that added to counters."""
        told = self._told(sums)
        reserved = (
            Reserved(self._rows[key], self._taken[key], self._causes[key], told[key.item, key.owner])
            for key in sorted(self._taken)
        )
        tell_reserved(writes, self._tenant, reserved, now)

    def write_claims(self, writes: GathersWrites, promises: Sequence[Promise], now: datetime) -> None:
        """Give the claims of `promises` to `writes`: what needs no lock, of a stock line or of an order."""
        tenant = self._tenant
        made = [claim for promise in promises for claim in promise.made]
        if (self._kits or self._substituted) and any(claim.kit is not None for claim in made):
            kits = column_arrays([(claim.kit, claim.per_kit) for claim in made])
            writes.add(_of_kits.insert_claims, tenant, now, *claim_columns(promises), *kits)
        else:
            writes.add(INSERT_CLAIMS, tenant, now, *claim_columns(promises))
        if self._substituted:
            writes.add(_of_substitutes.insert_substitutions, tenant, now, *_substituted_columns(self._substituted))

    def _told(self, counters: Iterable[CounterKey]) -> Mapping[tuple[str, str], list[dict[str, Any]]]:
        # A counter of an item is changed by nobody who does not hold one of its stock lines: it is as it was read.
        channels: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for counter in counters:
            item, channel, owner, _ = counter
            told = self._counters.get((item, channel, owner))
            channels[item, owner].append(told or _counter_told(channel, owner, *self._held[item][channel, owner]))
        return channels


def _counter_rows(head: Any) -> Iterable[tuple[str, str, str, str, int, str | None, str]]:
    """Item, channel, owner, and what `Held` has of them, amounts as text."""
    if head["items"] is None:
        return ()
    columns = ("items", "channels", "owners", "open", "counted", "allotments", "drawn")
    return zip(*(head[name] for name in columns), strict=True)


def _counter_told(
    channel: str, owner: str, opened: Decimal | str, counted: int, allotment: str | None, drawn: Decimal | str
) -> dict[str, Any]:
    """A counter as the event of its line tells it, one version after `counted`."""
    told = {"channel": channel, "owner": owner, "open": opened, "version": counted + 1}
    return told if allotment is None else told | {"allotment": allotment, "drawn": drawn}


def _served(
    there: Served, fill: Fill, order: Sequence[str], prompt: Sequence[str], late: Collection[str]
) -> tuple[Sequence[Portion], Sequence[Need]]:
    """Portions, or the lines that keep all from being promised."""
    needs, stock, sellable = there.needs, there.stock, there.sellable
    if (portions := whole(needs, stock, sellable, prompt)) is not None:
        return portions, ()
    if not (fits := fitting(needs, stock, sellable, fill)):
        return (), lacking(needs, stock, sellable)
    return source_in_time(fits, stock, order, late), ()


def counter_sums(promises: Sequence[Promise]) -> Mapping[CounterKey, Decimal]:
    """What `promises` add to each counter of a channel."""
    sums: dict[CounterKey, Decimal] = defaultdict(Decimal)
    for promise in promises:
        channel, owner = promise.rule.channel, promise.rule.terms.owner
        for claim in promise.made:
            sums[claim.item, channel, owner, _allotment(promise, claim.item)] += claim.amount
    return sums


def write_actions(writes: GathersWrites, tenant: str, promises: Sequence[Promise]) -> None:
    """Give the actions of `promises` to `writes`, behind their orders' locks: an action may be on its way twice."""
    writes.add(_sql.insert_actions, tenant, *_action_columns(promises))


def claim_events(tenant: str, promises: Sequence[Promise], now: datetime) -> list[Event]:
    """`claim.made` for each promise."""
    return [
        claim_event(
            "claim.made",
            tenant,
            promise.request.order,
            promise.version,
            now,
            promise.request.correlation_id,
            {"channel": promise.rule.channel, "rule_version": promise.rule.version, "claims": promise.made},
        )
        for promise in promises
    ]


def claim_columns(promises: Sequence[Promise]) -> list[str]:
    """The arrays of `INSERT_CLAIMS`, behind the tenant and the instant."""
    made = [claim for promise in promises for claim in promise.made]
    return [
        array([claim.claim for claim in made]),
        _repeated(promises, [promise.request.order for promise in promises]),
        array([claim.line for claim in made]),
        array([claim.item for claim in made]),
        array([claim.location for claim in made]),
        _repeated(promises, [promise.rule.terms.owner for promise in promises]),
        _repeated(promises, [promise.rule.channel for promise in promises]),
        _repeated(promises, [promise.rule.version for promise in promises]),
        array([claim.amount for claim in made]),
        _repeated(promises, [promise.request.action for promise in promises]),
        _repeated(promises, [promise.expires_at for promise in promises]),
        array([_allotment(promise, claim.item) for promise in promises for claim in promise.made]),
        _repeated(promises, [promise.request.priority for promise in promises]),
        _repeated(promises, [_written(promise.request.need_by) for promise in promises]),
        array([claim.line in pinned for promise in promises for pinned in [promise.pinned] for claim in promise.made]),
    ]


def _repeated(promises: Sequence[Promise], values: Sequence[Element]) -> str:
    """The array of what each promise's claims have in common."""
    return array([value for promise, value in zip(promises, values, strict=True) for _ in promise.made])


def _written(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _substituted_columns(substituted: Sequence[tuple[ClaimRequest, ChannelRule, Chosen]]) -> list[str]:
    return column_arrays(
        [
            (
                request.order,
                each.line,
                request.action,
                each.item,
                each.substitute.item,
                each.substitute.factor,
                each.served,
                each.lacked,
                "\n".join(each.passed),
                rule.channel,
                rule.version,
            )
            for request, rule, each in substituted
        ]
    )


def _action_columns(promises: Sequence[Promise]) -> list[Any]:
    return [
        array([promise.request.action for promise in promises]),
        array([promise.request.order for promise in promises]),
        [promise.digest for promise in promises],
        array([_encode([claim.claim for claim in promise.made]).decode() for promise in promises]),
    ]


def _allotment(promise: Promise, item: str) -> str | None:
    found = allotment_of(promise.rule.terms, item)
    return None if found is None else found.name


def _insufficient(
    missing: Sequence[Need], may_serve: Mapping[int, Sequence[tuple[Substitute, Decimal]]] = {}
) -> Conflict:
    lines: list[dict[str, Any]] = [
        {"line": need.line, "item": need.item, "amount": plain(need.amount)} for need in missing
    ]
    for line in lines:
        if found := [
            {"item": each.item, "factor": plain(each.factor), "serves": plain(amount)}
            for each, amount in may_serve.get(line["line"], ())
            if amount > 0
        ]:
            line["substitutes"] = found
    numbers = ", ".join(str(need.line) for need in missing)
    return Conflict(
        f"there is not enough stock for line {numbers}: order less of it or leave it out",
        code="stock.insufficient",
        context={"lines": lines},
    )
