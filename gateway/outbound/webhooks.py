"""Webhooks to partners: Standard Webhooks 1.0 signatures, one attempt and what it means, and the retry schedule.

The durable queue belongs to whoever owns the subscription; this module sends one message once.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Protocol

from msgspec import Struct
from standardwebhooks import Webhook as Signer

from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, Misconfigured, NotAllowed, Rejected
from gateway.kernel.secrets import Secret
from gateway.outbound.answers import Answer, Broken
from gateway.outbound.hygiene import retry_after_seconds
from gateway.outbound.receivers import Receivers
from gateway.outbound.targets import Resolve, TargetRules

RETRY_SCHEDULE: Final = tuple(
    timedelta(seconds=seconds) for seconds in (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
_TIMEOUT_S: Final = 15.0
_JITTER: Final = 0.2
_UNFIT: Final = re.compile(r"[^\x20-\x7e]")  # what a system called its event may hold anything
_SLOW_DOWN: Final = frozenset({429, 502, 504})


class Posts(Protocol):
    """Sends one request: `Receivers.post`."""

    async def __call__(self, url: str, rules: TargetRules, fields: bytes, body: bytes, /) -> Answer:
        """The head of the answer."""
        ...


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
    """Sends to partners' URLs, over connections that are kept (`Receivers`).

    `rules` say where a message may go; they may be replaced while it runs.
    """

    def __init__(
        self, rules: TargetRules, clock: Clock, *, resolve: Resolve | None = None, post: Posts | None = None
    ) -> None:
        self.rules = rules
        self._clock = clock
        self._receivers = Receivers(clock, resolve)
        self._post = post or self._receivers.post

    async def deliver(
        self, url: str, *, message_id: str, body: bytes, secrets: Sequence[Secret], correlation_id: str
    ) -> Attempt:
        """One attempt. Never raises for what the receiver does; `message_id` stays the same over retries."""
        started = self._clock.monotonic()
        fields = self._fields(message_id, body, secrets, correlation_id)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                answer = await self._post(url, self.rules, fields, body)
        except (Rejected, NotAllowed) as error:
            return self._attempt(Outcome.REFUSED, None, error.detail, started)
        except CrossdockError as error:
            return self._attempt(Outcome.FAILED, None, error.detail, started)
        except TimeoutError:
            return self._attempt(Outcome.FAILED, None, f"no answer within {_TIMEOUT_S:.0f} s", started)
        except Broken as broken:
            return self._attempt(Outcome.FAILED, None, f"the receiver {broken.kind.value}", started)
        status = answer.status
        wait = dict(answer.fields).get(b"retry-after")
        return self._attempt(
            judge(status),
            status,
            f"answered {status}",
            started,
            retry_after=retry_after_seconds(wait.decode("latin-1"), self._clock.now()) if wait else None,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._receivers.close()

    def _fields(self, message_id: str, body: bytes, secrets: Sequence[Secret], correlation_id: str) -> bytes:
        headers = {
            **sign(message_id, self._clock.now(), body, secrets),
            "content-type": "application/json",
            "x-correlation-id": correlation_id,
        }
        return b"".join(f"{name}: {_UNFIT.sub('?', value)}\r\n".encode("ascii") for name, value in headers.items())

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
