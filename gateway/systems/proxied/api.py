"""One proxied API, made of its settings and its document: routes for the door, and what serves them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.kernel.clock import Clock
from gateway.kernel.context import Zone
from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import Idempotency, Route
from gateway.kernel.secrets import resolve_secret
from gateway.kernel.spelling import with_nearest
from gateway.outbound.budget import Budgets
from gateway.outbound.connections import tls_trusting
from gateway.outbound.credentials import ClientCredentials, Credential, SecretField
from gateway.outbound.targets import TargetRules
from gateway.outbound.upstream import Upstream
from gateway.systems.proxied.checking import AnswerCheck, RequestCheck, Turn
from gateway.systems.proxied.document import SAFE, Document, Operation, load_document, segments_of
from gateway.systems.proxied.facts import Facts
from gateway.systems.proxied.options import ProxiedOptions
from gateway.systems.proxied.parameters import ParseJson
from gateway.systems.proxied.passing import Direct, Passing
from gateway.systems.proxied.schemas import Schemas
from gateway.systems.proxied.sharing import SharedReads
from gateway.systems.proxied.streaming import Streaming
from gateway.telemetry.counters import Counter, Counters

Application = Callable[[Any, Any, Any], Awaitable[None]]
_TAKES_BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Served(Struct, frozen=True, kw_only=True, eq=False):
    """One operation as the door serves it. `segments` are those of its path, parameters as ``{name}``."""

    operation: Operation
    route: Route
    segments: tuple[str, ...]
    direct: Direct | None
    stream: Application | None


class ProxiedApi:
    """One API, of the settings' `section`. `served` are its operations; `close` it with the process."""

    def __init__(
        self,
        section: str,
        options: ProxiedOptions,
        document: Document,
        *,
        clock: Clock,
        counters: Counters,
        parse: ParseJson,
        budgets: Budgets | None = None,
    ) -> None:
        self.name = name = options.name or section
        self.options = options
        self.document = document
        self.prefix = prefix_of(name, options)
        self.setting = f"[proxied.{section}]"
        rules = TargetRules(networks=options.private_targets)
        self.upstream = Upstream(
            name,
            options.base_url,
            clock,
            limits=options.limits,
            rules=rules,
            contact=options.technical_owner,
            budgets=budgets,
            tls=None if options.ca_file is None else tls_trusting(options.ca_file, setting=f"{self.setting} ca_file"),
        )
        self._closing = [self.upstream]
        self._facts = Facts(
            name=name,
            upstream=self.upstream,
            clock=clock,
            prefix=self.prefix.encode("ascii"),
            credential=self._credential(clock, rules),
            identity=options.identity_headers,
            reads=SharedReads() if options.share_reads else None,
        )
        self._parse = parse
        count = counters.counter(
            "crossdock_contract_violations_total",
            "Requests and answers of proxied operations that do not fit their contract.",
            ("operation", "direction"),
        )
        requests, answers = Schemas(document, "readOnly"), Schemas(document, "writeOnly")
        self.served = tuple(
            self._served(operation, requests, answers, count)
            for operation in document.operations()
            if operation.identity not in options.exclude
        )
        self._refuse_unknown()

    async def close(self) -> None:
        """Close its connections."""
        for upstream in self._closing:
            await upstream.close()

    def _credential(self, clock: Clock, rules: TargetRules) -> Credential | None:
        given = self.options.credential
        if given is None:
            return None
        secret = resolve_secret(given.secret, setting=f"{self.setting} credential.secret")
        if given.token_url is None or given.client_id is None:
            return SecretField(given.header, given.prefix, secret)
        parts = urlsplit(given.token_url)
        endpoint = Upstream(
            f"{self.name} tokens",
            f"{parts.scheme}://{parts.netloc}",
            clock,
            rules=rules,
            contact=self.options.technical_owner,
        )
        self._closing.append(endpoint)
        return ClientCredentials(
            endpoint, parts.path or "/", clock, client_id=given.client_id, secret=secret, scope=given.scope
        )

    def _served(self, operation: Operation, requests: Schemas, answers: Schemas, count: Counter) -> Served:
        options = self.options
        streams = operation.identity in options.streaming
        asked = Turn(options.requests, options.sample, count, operation.identity, "request")
        answered = Turn(options.responses, options.sample, count, operation.identity, "answer")
        check = RequestCheck(operation, requests, self._parse, asked, body=not streams)
        passing = Passing(self._facts, operation, AnswerCheck(operation, answers, answered), check.cookies)
        segments = segments_of(operation.path, f"{self.setting} {operation.identity}")
        template = self.prefix + "".join(f"/{segment}" for segment in segments)
        safe = operation.method in SAFE
        route = Route(
            id=f"{operation.method} {template}",
            method=operation.method,
            template=template,
            api=self.name,
            version=options.version,
            zone=options.zone,
            tenant_aware=options.tenant_aware,
            scopes=options.scopes_of(self.name, operation.identity, safe=safe),
            cost=options.costs.get(operation.identity, 1),
            idempotency=Idempotency.NONE if safe or streams else Idempotency.OPTIONAL,
            streaming=streams,
            streams_body=streams,
            max_body=options.max_stream if streams else options.max_body,
            content_types=frozenset(),
            check_request=check,
            takes_body=operation.bodies is not None and operation.method in _TAKES_BODY,
        )
        return Served(
            operation=operation,
            route=route,
            segments=(*self.prefix[1:].split("/"), *segments),
            direct=None if streams else passing,
            stream=Streaming(passing, largest=options.max_stream) if streams else None,
        )

    def _refuse_unknown(self) -> None:
        """Settings that name an operation which the document does not have are a mistake somebody should learn of."""
        known = {operation.identity for operation in self.document.operations()}
        named = {*self.options.exclude, *self.options.streaming, *self.options.scopes, *self.options.costs}
        if unknown := sorted(named - known):
            told = ", ".join(with_nearest(name, known) for name in unknown)
            raise Misconfigured(f"{self.setting} names operations that its document lacks: {told}")
        if not self.served:
            raise Misconfigured(f"{self.setting}: its document has no operation to serve")


def prefix_of(name: str, options: ProxiedOptions) -> str:
    """The path that an API stands under, as for those of our own: ``/<name>/v1``, ``/system/<name>/v1``."""
    layer = "" if options.zone is Zone.EXPERIENCE else f"/{options.zone.value}"
    return f"{layer}/{name}/{options.version}"


def load_proxied(
    settings: Mapping[str, ProxiedOptions],
    *,
    clock: Clock,
    counters: Counters,
    parse: ParseJson,
    budgets: Budgets | None = None,
) -> Sequence[ProxiedApi]:
    """Every API of the settings. Raises `Misconfigured` saying what to change."""
    return [
        ProxiedApi(
            name,
            options,
            load_document(Path(options.openapi), setting=f"[proxied.{name}] openapi"),
            clock=clock,
            counters=counters,
            parse=parse,
            budgets=budgets,
        )
        for name, options in settings.items()
    ]
