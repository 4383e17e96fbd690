"""The process API of channel publication, for operators: how far it is, what is shown, what disagrees."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.channel_publication.process import ChannelPublication

_ROOT = "/process/channel-publication/v1"
_API = {"zone": "process", "tenant_aware": True, "api": "channel-publication", "version": "v1"}
_READ = {**_API, "scopes": ["publication:read"]}
_PAGE = 200
ChannelName = Annotated[str, Meta(min_length=1, max_length=100)]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class ChannelView(Struct, kw_only=True):
    """How far one channel is. `lag_seconds` is the age of the oldest change that it was not told of."""

    channel: str
    system: str
    waiting: int
    lag_seconds: float
    listed: int
    unlisted: int
    disagreements: int
    oversold: int
    imported_at: Instant | None
    read_back_at: Instant | None
    failures: int
    last_error: str | None


class ChannelList(Struct, kw_only=True):
    """Every published channel."""

    channels: list[ChannelView]


class FigureView(Struct, kw_only=True):
    """What a channel shows of one item, as far as we know, in base units; `waiting_since` where it is to change."""

    item: str
    sku: str
    state: str
    shown: int | None
    published_at: Instant | None
    checked_at: Instant | None
    waiting_since: Instant | None


class FigurePage(Struct, kw_only=True):
    """A page of figures, by item."""

    figures: list[FigureView]
    next_cursor: str | None


class DisagreementView(Struct, kw_only=True):
    """A figure that a channel showed otherwise; `cause` is changed_there, vanished or refused."""

    id: str
    channel: str
    item: str
    sku: str
    cause: str
    expected: int | None
    found: int | None
    found_at: Instant
    resolved_at: Instant | None


class DisagreementPage(Struct, kw_only=True):
    """A page of disagreements, latest first."""

    disagreements: list[DisagreementView]
    next_cursor: str | None


class ComparisonInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which channel to reckon again."""

    channel: ChannelName


def routes(publication: ChannelPublication) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @get(f"{_ROOT}/channels", opt={**_READ, "cost": 1}, operation_id="listChannels")
    async def list_channels(request: Request[Any, Any, Any]) -> ChannelList:
        """Tell how far each channel is."""
        rows = await publication.standing(caller_of(request.scope).tenant)
        return ChannelList(channels=[_channel(row) for row in rows])

    @get(f"{_ROOT}/figures", opt={**_READ, "cost": 2}, operation_id="listFigures")
    async def list_figures(
        request: Request[Any, Any, Any],
        channel: Annotated[str, QueryParameter(min_length=1, max_length=100)],
        cursor: Annotated[str | None, QueryParameter(max_length=40)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=_PAGE)] = 100,
    ) -> FigurePage:
        """List what a channel shows."""
        tenant = caller_of(request.scope).tenant
        rows = await publication.figures(tenant, channel, after=cursor, limit=limit)
        following = rows[-1]["item"] if len(rows) == limit else None
        return FigurePage(figures=[_figure(row) for row in rows], next_cursor=following)

    @get(f"{_ROOT}/disagreements", opt={**_READ, "cost": 1}, operation_id="listDisagreements")
    async def list_disagreements(
        request: Request[Any, Any, Any],
        channel: Annotated[str | None, QueryParameter(max_length=100)] = None,
        cursor: Annotated[int | None, QueryParameter(ge=1, le=2**53)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=_PAGE)] = 100,
    ) -> DisagreementPage:
        """List what channels showed otherwise than they should have."""
        tenant = caller_of(request.scope).tenant
        rows = await publication.disagreements(tenant, channel, before=cursor, limit=limit)
        following = str(rows[-1]["disagreement"]) if len(rows) == limit else None
        return DisagreementPage(disagreements=[_disagreement(row) for row in rows], next_cursor=following)

    @post(
        f"{_ROOT}/comparisons",
        status_code=202,
        opt={**_API, "scopes": ["publication:repair"], "cost": 10, "idempotency": Idempotency.OPTIONAL},
        operation_id="compareChannel",
    )
    async def compare_channel(request: Request[Any, Any, Any], data: JSONBody[ComparisonInput]) -> None:
        """Have every figure of a channel reckoned again, and published where it differs."""
        caller = caller_of(request.scope)
        await publication.compare_all(
            caller.tenant, data.channel, actor=caller.principal.credential, correlation_id=caller.correlation_id
        )

    return [list_channels, list_figures, list_disagreements, compare_channel]


def _channel(row: dict[str, Any]) -> ChannelView:
    return ChannelView(
        channel=row["channel"],
        system=row["system"],
        waiting=row["waiting"],
        lag_seconds=round(row["lag_seconds"] or 0.0, 3),
        listed=row["listed"],
        unlisted=row["unlisted"],
        disagreements=row["disagreements"],
        oversold=row["oversold"],
        imported_at=_instant(row["imported_at"]),
        read_back_at=_instant(row["read_back_at"]),
        failures=row["failures"],
        last_error=row["last_error"],
    )


def _figure(row: dict[str, Any]) -> FigureView:
    return FigureView(
        item=row["item"],
        sku=row["sku"],
        state=row["state"],
        shown=row["base"] if row["shown"] is None else row["shown"],
        published_at=_instant(row["published_at"]),
        checked_at=_instant(row["checked_at"]),
        waiting_since=_instant(row["since"]),
    )


def _disagreement(row: dict[str, Any]) -> DisagreementView:
    return DisagreementView(
        id=str(row["disagreement"]),
        channel=row["channel"],
        item=row["item"],
        sku=row["sku"],
        cause=row["cause"],
        expected=row["expected"],
        found=row["found"],
        found_at=row["found_at"].isoformat().replace("+00:00", "Z"),
        resolved_at=_instant(row["resolved_at"]),
    )


def _instant(moment: Any) -> str | None:
    return None if moment is None else str(moment.isoformat().replace("+00:00", "Z"))
