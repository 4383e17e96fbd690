"""What the document says of a request and of an answer, checked by the mode of each.

In the modes `observe` and `sample` what does not fit is counted and logged, and passes. In `enforce` a request is
refused (400, 415, 422); an answer to a safe method is withheld (502), and one to a change always goes out, since its
effect is committed on the other side (`semantics.md` 7).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from gateway.kernel.errors import BrokenUpstream, CrossdockError, Invalid, Rejected
from gateway.kernel.exchange import Exchange
from gateway.kernel.validation import Mode
from gateway.outbound.answers import Answer
from gateway.systems.proxied.document import SAFE, Operation
from gateway.systems.proxied.parameters import ParameterRules, ParseJson, invalid_parameters, scalar
from gateway.systems.proxied.schemas import Schemas, Validator, problems_of
from gateway.telemetry.counters import Counter

_log: Final = logging.getLogger(__name__)
_FORM: Final = "application/x-www-form-urlencoded"
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_REDIRECT: Final = 300
_CONDITIONAL: Final = frozenset({304, 412, 416})  # RFC 9110: asked for by the caller's own fields, hardly ever declared
_UNDECLARED: Final[Any] = object()
_decode: Final = msgspec.json.Decoder().decode

Contents = Mapping[str, Validator | None]


class Turn:
    """Whether a request or answer is checked now, and what becomes of what does not fit."""

    def __init__(self, mode: Mode, sample: float, count: Counter, operation: str, direction: str) -> None:
        self.enforced = mode is Mode.ENFORCE
        self._share = sample if mode is Mode.SAMPLE else 1.0
        self._count = count
        self._labels = (operation, direction)

    def comes(self) -> bool:
        """Whether this one is checked."""
        return self._share >= 1.0 or random.random() < self._share  # noqa: S311 - a sample, not a secret

    def note(self, exchange: Exchange, why: str) -> None:
        """Count and log one that does not fit."""
        self._count.add(*self._labels)
        _log.warning(
            "request %s: the %s of %s does not fit: %s", exchange.request_id, self._labels[1], *self._labels[:1], why
        )


class RequestCheck:
    """Called by the chain where requests are validated; leaves a JSON body in ``exchange.decoded``."""

    def __init__(
        self, operation: Operation, schemas: Schemas, parse_json: ParseJson, turn: Turn, *, body: bool
    ) -> None:
        where = f"{schemas.where}, {operation.identity}"
        self._rules = ParameterRules(operation, schemas, parse_json, where)
        # One that is in the path is given; where any text fits there is nothing to look at.
        self._path = {name: rule for name, rule in self._rules.path.items() if rule.validator is not None}
        self._bodies: Contents = {
            kind: schemas.validator(schema, f"{where}: body") for kind, schema in (operation.bodies or {}).items()
        }
        self._form = _form_kinds(operation, schemas)
        self._required = operation.body_required
        self._parse_json = parse_json
        self._reads_body = body and operation.bodies is not None
        self._turn = turn
        self.cookies = frozenset(self._rules.cookie)

    def __call__(self, exchange: Exchange) -> None:
        """Raise `Invalid` or `Rejected` for what does not fit, in the mode `enforce`."""
        if not self._turn.comes():
            return
        try:
            self._parameters(exchange)
            if self._reads_body:
                self._body(exchange)
        except CrossdockError as error:
            if self._turn.enforced:
                raise
            self._turn.note(exchange, error.code)

    def _parameters(self, exchange: Exchange) -> None:
        rules = self._rules
        problems = rules.check_query(exchange.query) if exchange.query or rules.query else []
        if self._path:
            problems += rules.check_texts(self._path, exchange.path_params)
        if rules.header:
            texts = {name: exchange.headers.get(name.encode()) for name in rules.header}
            problems += rules.check_texts(
                rules.header, {name: value.decode("latin-1") for name, value in texts.items() if value is not None}
            )
        if rules.cookie:
            problems += rules.check_texts(rules.cookie, cookies_of(exchange.headers.get(b"cookie", b"")))
        if problems:
            raise invalid_parameters(problems)

    def _body(self, exchange: Exchange) -> None:
        if not exchange.body:
            if self._required:
                raise Invalid("this operation needs a body: send one", code="request.body_missing", syntax=True)
            return
        kind, charset = media_type_of(exchange.headers.get(b"content-type", b""))
        validator = self._validator_for(kind)
        if is_json(kind):
            if charset not in _UTF8:
                raise Rejected("send UTF-8", code="request.media_type")
            exchange.decoded = value = self._parse_json(exchange.body)
        elif kind == _FORM:
            value = self._form_value(exchange.body)
        else:
            return
        if validator is not None and not validator.is_valid(value):
            raise Invalid(
                "the body does not fit this operation: see errors",
                code="request.body_invalid",
                problems=problems_of(validator, value),
            )

    def _validator_for(self, kind: str) -> Validator | None:
        found: Validator | None = _of_kind(self._bodies, kind)
        if found is _UNDECLARED:
            expected = ", ".join(sorted(self._bodies))
            raise Rejected(f"send this as {expected}, and say so in Content-Type", code="request.media_type")
        return found

    def _form_value(self, body: bytes) -> dict[str, Any]:
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
        except (UnicodeDecodeError, ValueError):
            raise Invalid("the form cannot be read", code="request.form", syntax=True) from None
        value: dict[str, Any] = {}
        for name, text in pairs:
            kind, inner = self._form.get(name, ("string", "string"))
            if kind == "array":
                value.setdefault(name, []).append(scalar(inner, text))
            elif name in value:
                raise Invalid(f"{name[:40]} is given twice in the form", code="request.form", syntax=True)
            else:
                value[name] = scalar(kind, text)
        return value


class AnswerCheck:
    """What the document declares as answers of one operation."""

    def __init__(self, operation: Operation, schemas: Schemas, turn: Turn) -> None:
        where = f"{schemas.where}, {operation.identity}: answer"
        self._contents: dict[str, Contents] = {
            status.upper(): {kind: schemas.validator(schema, f"{where} {status}") for kind, schema in content.items()}
            for status, (content, _) in operation.answers.items()
        }
        self._turn = turn
        self._safe = operation.method in SAFE
        self._by_status: dict[int, Contents | None] = {}
        self.fields = frozenset().union(*(names for _, names in operation.answers.values()))

    def declared(self, status: int) -> Contents | None:
        """The media types declared for `status`, None where the document does not know it."""
        if status not in self._by_status:
            exact, family = self._contents.get(str(status)), self._contents.get(f"{status // 100}XX")
            found = exact if exact is not None else family if family is not None else self._contents.get("DEFAULT")
            self._by_status[status] = found
        return self._by_status[status]

    def passes(self, status: int) -> bool:
        """Whether an answer with this status goes on as it is; any other becomes a problem of ours."""
        return status < _REDIRECT or status in _CONDITIONAL or self.declared(status) is not None

    def __call__(self, exchange: Exchange, answer: Answer) -> None:
        """Raise `BrokenUpstream` for an answer to a safe method that does not fit, in the mode `enforce`."""
        if answer.status in _CONDITIONAL or not self._turn.comes():
            return
        why = self._unfit(exchange, answer)
        if why is None:
            return
        self._turn.note(exchange, why)
        if self._turn.enforced and self._safe:
            raise BrokenUpstream(
                "the system behind this operation answered something that its contract does not allow: its owner must "
                "look",
                code="proxied.answer_invalid",
            )

    def _unfit(self, exchange: Exchange, answer: Answer) -> str | None:
        contents = self.declared(answer.status)
        if contents is None:
            return f"the status {answer.status} is not declared"
        if not answer.body or not contents or exchange.method == "HEAD":
            return None
        fields = dict(answer.fields)
        if fields.get(b"content-encoding", b"identity") != b"identity":
            return "it is compressed although nobody asked for that"
        kind, _ = media_type_of(fields.get(b"content-type", b""))
        validator = _of_kind(contents, kind)
        if validator is _UNDECLARED:
            return f"the media type {kind[:60] or 'none'} is not declared"
        return _unfit_json(validator, answer.body) if is_json(kind) else None


def _of_kind(contents: Contents, kind: str) -> Any:
    """The validator of a media type or of the range that holds it (None: any), or `_UNDECLARED`."""
    for known in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        if known in contents:
            return contents[known]
    return _UNDECLARED


def _unfit_json(validator: Validator | None, body: bytes) -> str | None:
    """Where a JSON body does not fit, without what stands there: answers hold other people's data."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "it is not JSON"
    if validator is None or validator.is_valid(value):
        return None
    problem = problems_of(validator, value)[0]
    return f"{problem.detail[:120]} at {problem.pointer or 'its top'}"


def _form_kinds(operation: Operation, schemas: Schemas) -> Mapping[str, tuple[str, str]]:
    schema = (operation.bodies or {}).get(_FORM)
    return {} if schema is None else schemas.member_kinds(schema)


def media_type_of(content_type: bytes) -> tuple[str, str]:
    """Media type and charset (``utf-8`` by default), lower case."""
    kind, *parameters = content_type.decode("latin-1").lower().split(";")
    charset = "utf-8"
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset":
            charset = value.strip('"')
    return kind.strip(), charset


def is_json(kind: str) -> bool:
    """Whether a media type is JSON (RFC 6839)."""
    return kind == "application/json" or kind.endswith("+json")


def cookies_of(field: bytes) -> dict[str, str]:
    """The pairs of a Cookie field; the first of a name counts."""
    found: dict[str, str] = {}
    for pair in field.decode("latin-1").split(";"):
        name, separator, value = pair.strip().partition("=")
        if separator:
            found.setdefault(name, value)
    return found
