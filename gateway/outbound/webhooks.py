"""Webhooks to partners: Standard Webhooks 1.0 signatures, one attempt and what it means, and the retry schedule.

The durable queue belongs to whoever owns the subscription; this module sends one message once.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import httpx
from msgspec import Struct
from pyreqwest.exceptions import PyreqwestError
from standardwebhooks import Webhook as Signer

from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, Misconfigured, NotAllowed, Rejected
from gateway.kernel.secrets import Secret
from gateway.outbound.breakage import breakage
from gateway.outbound.hygiene import retry_after_seconds
from gateway.outbound.pools import close_pools, pinned_transport
from gateway.outbound.targets import Resolve, Target, TargetRules, pin

RETRY_SCHEDULE: Final = tuple(
    timedelta(seconds=seconds) for seconds in (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
_TIMEOUT_S: Final = 15.0
_JITTER: Final = 0.2
_KEPT_CLIENTS: Final = 128
_SLOW_DOWN: Final = frozenset({429, 502, 504})


class Outcome(StrEnum):
    """What one attempt means. `DISABLE`: the receiver is gone (410); `SLOW_DOWN`: alive but overloaded."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SLOW_DOWN = "slow_down"
    DISABLE = "disable"
    REFUSED = "refused"


class Attempt(Struct, frozen=True, kw_only=True):
    """One attempt: `status` None when there was no answer; `retry_after` seconds if the receiver named them.

    `REFUSED` means that we did not send: the target is not allowed, and retrying will not help.
    """

    outcome: Outcome
    status: int | None
    detail: str
    took_ms: float
    retry_after: float | None = None


def next_attempt(attempts_made: int, attempt: Attempt | None = None) -> timedelta | None:
    """How long to wait after so many attempts, with up to 20 % jitter on top; None when the schedule is used up."""
    if attempts_made >= len(RETRY_SCHEDULE):
        return None
    wait = RETRY_SCHEDULE[attempts_made].total_seconds()
    if attempt is not None and attempt.retry_after is not None:
        wait = max(wait, attempt.retry_after)
    return timedelta(seconds=wait * random.uniform(1, 1 + _JITTER))  # noqa: S311 - spreads load, hides nothing


def sign(message_id: str, at: datetime, body: bytes, secrets: Sequence[Secret]) -> dict[str, str]:
    """The three headers. `secrets` (``whsec_`` + base64) newest first: each signs, so that rotation breaks nobody."""
    if not secrets or "." in message_id:
        raise Misconfigured("a webhook needs a secret and a message id without a dot", code="webhook.unsignable")
    text = body.decode("utf-8")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(
            Signer(secret.reveal()).sign(message_id, at.astimezone(UTC), text) for secret in secrets
        ),
    }


class WebhookSender:
    """Sends to partners' URLs. Connections are kept per pinned address, at most 128 of them.

    `rules` say where a message may go; they may be replaced while it runs.
    """

    def __init__(
        self,
        rules: TargetRules,
        clock: Clock,
        *,
        resolve: Resolve | None = None,
        transport: Callable[[Target], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self.rules = rules
        self._clock = clock
        self._resolve = resolve
        self._make = transport or pinned_transport
        self._transports: OrderedDict[tuple[str, int, str], httpx.AsyncBaseTransport] = OrderedDict()

    async def deliver(
        self, url: str, *, message_id: str, body: bytes, secrets: Sequence[Secret], correlation_id: str
    ) -> Attempt:
        """One attempt. Never raises for what the receiver does; `message_id` stays the same over retries."""
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                target = await pin(url, self.rules, self._resolve)
                answer = await self._post(target, message_id, body, secrets, correlation_id)
        except (Rejected, NotAllowed) as error:
            return self._attempt(Outcome.REFUSED, None, error.detail, started)
        except CrossdockError as error:
            return self._attempt(Outcome.FAILED, None, error.detail, started)
        except TimeoutError:
            return self._attempt(Outcome.FAILED, None, f"no answer within {_TIMEOUT_S:.0f} s", started)
        except (httpx.HTTPError, PyreqwestError) as error:
            return self._attempt(Outcome.FAILED, None, f"the receiver {breakage(error).value}", started)
        status = answer.status_code
        wait = answer.headers.get("retry-after")
        return self._attempt(
            judge(status),
            status,
            f"answered {status}",
            started,
            retry_after=retry_after_seconds(wait, self._clock.now()) if wait else None,
        )

    async def close(self) -> None:
        """Close every connection."""
        transports = list(self._transports.values())
        self._transports.clear()
        await close_pools(transports)

    async def _post(
        self, target: Target, message_id: str, body: bytes, secrets: Sequence[Secret], correlation_id: str
    ) -> httpx.Response:
        headers = {
            **sign(message_id, self._clock.now(), body, secrets),
            "content-type": "application/json",
            "x-correlation-id": correlation_id,
        }
        request = httpx.Request("POST", target.url, headers=headers, content=body)
        transport = await self._transport(target)
        answer = await transport.handle_async_request(request)
        # The body is not read: it is the receiver's, of any size, and means nothing.
        await answer.aclose()
        return answer

    async def _transport(self, target: Target) -> httpx.AsyncBaseTransport:
        key = (target.host, target.port, target.address)
        found = self._transports.pop(key, None) or self._make(target)
        self._transports[key] = found
        if len(self._transports) > _KEPT_CLIENTS:
            _, oldest = self._transports.popitem(last=False)
            await oldest.aclose()
        return found

    def _attempt(
        self, outcome: Outcome, status: int | None, detail: str, started: float, *, retry_after: float | None = None
    ) -> Attempt:
        return Attempt(
            outcome=outcome,
            status=status,
            detail=detail,
            took_ms=1000 * (self._clock.monotonic() - started),
            retry_after=retry_after,
        )


def judge(status: int) -> Outcome:
    """What a status means to the schedule; a redirect is a failure."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome.DELIVERED
    if status == HTTPStatus.GONE:
        return Outcome.DISABLE
    return Outcome.SLOW_DOWN if status in _SLOW_DOWN else Outcome.FAILED
