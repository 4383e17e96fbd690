"""A partner's stream: the messages that its webhooks would have, as they happen, from any place of the last day on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from gateway.canonical.events import Position, Recorded
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller, Principal
from gateway.kernel.cursors import Cursors
from gateway.kernel.errors import CrossdockError, NotFound
from gateway.kernel.event_stream import event, heartbeat, opening
from gateway.kernel.ids import new_id
from process_apis.partner_notifications.following import Following, Listener, Wanted
from process_apis.partner_notifications.places import LAPSE_SECONDS, Places
from process_apis.partner_notifications.rules import MESSAGE_OF_EVENT
from process_apis.partner_notifications.sharing import SharedBodies

ENDED: Final = "stream.ended"
RESET: Final = "stream.reset"
_encode: Final = msgspec.json.Encoder().encode
_log: Final = logging.getLogger(__name__)
Sends = Callable[[bytes], Awaitable[None]]
_RENEW_SECONDS: Final = LAPSE_SECONDS / 3
_TOGETHER: Final = 64


class Options(Struct, frozen=True, kw_only=True):
    """Times are seconds. `room` bounds the events that wait for one slow reader."""

    heartbeat: float = 15.0
    lifetime: float = 3_600.0
    replay: float = 86_400.0
    room: int = 1_000
    retry_ms: int = 1_000


class Notice(Struct, frozen=True, kw_only=True):
    """What a stream says about itself."""

    type: str
    reason: str
    detail: str


_TOO_OLD: Final = Notice(
    type=RESET,
    reason="too_old",
    detail="events since then are not kept: read your orders and availability afresh; the stream goes on from here",
)
_OTHER_LOG: Final = Notice(
    type=RESET,
    reason="log_restored",
    detail="the log was restored without that event: read your orders and availability afresh",
)
_TOO_SLOW: Final = Notice(
    type=ENDED, reason="too_slow", detail="too many events waited for you: connect again, and read without waiting"
)
_LIFETIME: Final = Notice(type=ENDED, reason="lifetime", detail="a stream ends after a while: connect again")
_UNAVAILABLE: Final = Notice(
    type=ENDED, reason="unavailable", detail="the next event cannot be told at the moment: connect again"
)


class EventStreams:
    """Opens streams. `allowed` tells how many a caller may have open at once."""

    def __init__(
        self,
        following: Following,
        bodies: SharedBodies,
        places: Places,
        cursors: Cursors,
        clock: Clock,
        options: Options,
    ) -> None:
        self.following = following
        self.bodies = bodies
        self.places = places
        self.options = options
        self.allowed: Callable[[Principal], int] = lambda _: 1 << 30
        self.monotonic = clock.monotonic
        self._clock = clock
        self._cursors = cursors

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock.now().timestamp()

    async def open(self, caller: Caller, wanted: Wanted, last: str | None, *, version: str) -> Telling:
        """A stream of `wanted` behind the event `last`, or from now on.

        Raises `NotFound` (``events.last_event_id``) for a `last` that this partner never got, `Throttled`
        (``events.too_many_streams``), and `Unavailable`.
        """
        given = None if not last else self._place_in(wanted, last)
        await self.following.ready()
        after, notice = self.following.reached, None
        if given is not None:
            place, at = given
            if self.now() - at > self.options.replay:
                notice = _TOO_OLD
            elif place.event and not await self.following.has(place):
                notice = _OTHER_LOG
            else:
                after = place
        stream = new_id("str")
        principal = caller.principal
        await self.places.take(principal, stream, limit=self.allowed(principal))
        return Telling(self, principal, wanted, after, notice, stream=stream, version=version)

    def identity_of(self, wanted: Wanted, position: Position, at: float) -> str:
        """A place of the log as this partner is told it."""
        text = f"{position.epoch}.{position.transaction}.{position.event}.{int(at)}"
        return self._cursors.seal(_scope(wanted), text)

    def _place_in(self, wanted: Wanted, last: str) -> tuple[Position, float]:
        try:
            epoch, transaction, number, at = map(int, str(self._cursors.open(_scope(wanted), last)).split("."))
        except (NotFound, ValueError):
            raise NotFound(
                "this is not the id of an event that you were told: connect without Last-Event-ID",
                code="events.last_event_id",
            ) from None
        return Position(epoch, transaction, number), float(at)


class Telling:
    """One stream that has its place, to be told once."""

    def __init__(
        self,
        streams: EventStreams,
        principal: Principal,
        wanted: Wanted,
        after: Position,
        notice: Notice | None,
        *,
        stream: str,
        version: str,
    ) -> None:
        self._streams = streams
        self._principal = principal
        self._wanted = wanted
        self._after = after
        self._notice = notice
        self._stream = stream
        self._version = version
        self._turn = 0
        self._renewed = streams.monotonic()
        self._options = streams.options
        self._places = streams.places

    async def tell(self, send: Sends) -> None:
        """Send server-sent events until the stream's end."""
        following = self._streams.following
        self._places.entered(self._principal)
        try:
            with following.joined(self._wanted, room=self._options.room) as listener:
                await send(opening(identity=self._identity(self._after), retry_ms=self._options.retry_ms))
                if self._notice is not None:
                    await self._say(send, self._notice)
                try:
                    await self._tell_missed(send, listener)
                    await self._tell_live(send, listener)
                except CrossdockError as error:
                    _log.warning("a stream of events ends: %s", error.detail)
                    await self._say(send, _UNAVAILABLE)
        finally:
            await self._places.leave(self._principal, self._stream)

    async def _tell_missed(self, send: Sends, listener: Listener) -> None:
        async for page, reached in self._streams.following.before(listener, self._after):
            while some := page.take_some(_TOGETHER):
                await self._tell(send, some)
            self._after = reached
            await send(heartbeat(identity=self._identity(reached)))
            await self._keep_place()

    async def _tell_live(self, send: Sends, listener: Listener) -> None:
        monotonic = self._streams.monotonic
        begun = spoken = monotonic()
        while monotonic() - begun < self._options.lifetime:
            if some := listener.waiting.take_some(_TOGETHER):
                if new := [each for each in some if each.position > self._after]:  # else told by the worker before
                    await self._tell(send, new)
                    spoken = monotonic()
            elif listener.too_slow:
                await self._say(send, _TOO_SLOW)
                return
            else:
                self._after = max(self._after, self._streams.following.reached)
                if monotonic() - spoken >= self._options.heartbeat:
                    spoken = monotonic()
                    await send(heartbeat(identity=self._identity(self._after)))
                await self._news(listener)
            await self._keep_place()
        await self._say(send, _LIFETIME)

    async def _keep_place(self) -> None:
        if self._streams.monotonic() - self._renewed >= _RENEW_SECONDS:
            self._renewed = self._streams.monotonic()
            await self._places.renew(self._principal, self._stream)

    async def _news(self, listener: Listener) -> None:
        listener.news.clear()
        if listener.waiting or listener.too_slow:
            return
        try:
            async with asyncio.timeout(min(self._options.heartbeat, self._options.lifetime, 1.0)):
                await listener.news.wait()
        except TimeoutError:
            return

    async def _tell(self, send: Sends, some: Sequence[Recorded]) -> None:
        """Events about different things, rendered together and told in their order.

        With nothing to tell of one any more, only its place: whoever comes again begins behind it.
        """
        bodies = await asyncio.gather(*(self._body(recorded) for recorded in some))
        self._turn = max(turn for _, turn in bodies)
        # In one piece: each costs the server as much as an event does.
        await send(b"".join(self._told(recorded, body) for recorded, (body, _) in zip(some, bodies, strict=True)))
        self._after = some[-1].position

    async def _body(self, recorded: Recorded) -> tuple[bytes | None, int]:
        return await self._streams.bodies.of(
            recorded,
            version=self._version,
            partner=self._wanted.partner,
            channel=self._principal.channel or "",
            after=self._turn,
        )

    def _told(self, recorded: Recorded, body: bytes | None) -> bytes:
        identity = self._streams.identity_of(self._wanted, recorded.position, recorded.recorded_at.timestamp())
        name = MESSAGE_OF_EVENT[recorded.event.type]
        return heartbeat(identity=identity) if body is None else event(name, body, identity=identity)

    async def _say(self, send: Sends, notice: Notice) -> None:
        await send(event(notice.type, _encode(notice), identity=self._identity(self._after)))

    def _identity(self, position: Position) -> str:
        return self._streams.identity_of(self._wanted, position, self._streams.now())


def _scope(wanted: Wanted) -> str:
    return f"{wanted.tenant}/{wanted.partner}/events"
