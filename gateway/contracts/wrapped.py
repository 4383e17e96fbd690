"""The published contract of an API that we pass on: its own document, as a caller meets it here.

Our paths, our two ways to show who you are, our scopes, costs, limits and problem details; of theirs the parameters,
bodies, answers and schemas of what is served. Servers, security, callbacks, extensions and whatever no served operation
refers to stay behind: they tell of a system that no caller sees. Ours are named `Gateway…` among the components.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.contracts import answers
from gateway.contracts.accepted import accepted_body, accepted_parameter
from gateway.contracts.api import Api, Wrapped, WrappedOperation
from gateway.contracts.description import SECURITY, SERVERS, dated_names, ownership
from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import Idempotency
from gateway.kernel.pointers import standing_at

_COMPONENTS: Final = "#/components/"
_OURS: Final = "Gateway"
_PROBLEM: Final = "application/problem+json"
_KEPT: Final = ("operationId", "summary", "description", "tags")
_WHAT_IS_SENT: Final = ("parameters", "requestBody")
_WORDS: Final = re.compile(r"[A-Za-z0-9]+")
_DEEPEST: Final = 60
_ALWAYS: Final = (400, 401, 403, 404, 405, 406, 408, 409, 413, 414, 429, 431, 500, 502, 503, 504)
_WITH_BODY: Final = (415, 422)
_ENDED: Final = 410
_FAILED: Final = 400
_UNPROMISED: Final = frozenset({"authorization", "accept", "content-type"})  # OpenAPI 3.1, 4.8.12


def wrapped_document(api: Api, wrapped: Wrapped) -> dict[str, Any]:
    """The whole document, in the version of OpenAPI that theirs has."""
    return _Derived(api, wrapped).document()


class _Derived:
    """One derivation; `document` is called once."""

    def __init__(self, api: Api, wrapped: Wrapped) -> None:
        self._api = api
        self._given = wrapped.document
        self._wrapped = wrapped
        self._served = {str(self._content(each).get("operationId")) for each in wrapped.operations}
        self._dated = dated_names(api.lifecycle)

    def document(self) -> dict[str, Any]:
        api, given = self._api, self._given
        paths: dict[str, dict[str, Any]] = {}
        for each in sorted(self._wrapped.operations, key=lambda each: (each.route.template, each.method)):
            paths.setdefault(each.route.template, {})[each.method] = self._operation(each)
        used = {tag for item in paths.values() for operation in item.values() for tag in operation["tags"]}
        described = {tag["name"]: tag.get("description") for tag in given.get("tags") or () if "name" in tag}
        scopes = sorted({scope for each in self._wrapped.operations for scope in each.route.scopes})
        return {
            "openapi": given["openapi"],
            "info": {
                "title": api.title,
                "version": f"{api.version[1:]}.0.0",
                "description": api.description,
                "contact": {"name": api.technical_owner},
                **ownership(api),
            },
            "servers": SERVERS,
            "security": SECURITY,
            "tags": [
                {"name": tag, "description": described.get(tag) or f"Operations on {tag.lower()}."}
                for tag in sorted(used)
            ],
            "paths": paths,
            "components": {**self._components(paths), "securitySchemes": answers.security_schemes(scopes)},
        }

    def _content(self, each: WrappedOperation) -> Mapping[str, Any]:
        content: Mapping[str, Any] = self._resolved(self._given["paths"][each.path])[each.method]
        return content

    def _operation(self, each: WrappedOperation) -> dict[str, Any]:
        content, route = self._content(each), each.route
        made: dict[str, Any] = {name: content[name] for name in _KEPT if content.get(name)}
        made.setdefault("operationId", _named(each))
        made.setdefault("summary", made["operationId"])
        made.setdefault("description", made["summary"])
        made.setdefault("tags", ["Operations"])
        if self._api.lifecycle.deprecated_at is not None or content.get("deprecated"):
            made["deprecated"] = True
        made["security"] = [{"oauth2": sorted(route.scopes)}, {"apiKey": []}]
        made["parameters"] = self._parameters(each, content)
        if content.get("requestBody") and route.takes_body:
            made["requestBody"] = self._body(content["requestBody"])
        made["responses"] = self._responses(each, content)
        made["x-cost"] = route.cost
        return made

    def _parameters(self, each: WrappedOperation, content: Mapping[str, Any]) -> list[Any]:
        item = self._resolved(self._given["paths"][each.path])
        found: dict[tuple[str, str], Any] = {}
        for given in (*item.get("parameters", ()), *content.get("parameters", ())):
            parameter = self._resolved(given)
            place, name = str(parameter.get("in")), str(parameter.get("name"))
            if place != "header" or name.lower() not in self._wrapped.unasked | _UNPROMISED:
                found[place, name.lower() if place == "header" else name] = self._parameter(parameter)
        if each.route.idempotency is not Idempotency.NONE:
            required = each.route.idempotency is Idempotency.REQUIRED
            found["header", "idempotency-key"] = answers.idempotency_key(required=required)
        return [found[key] for key in sorted(found)]

    def _parameter(self, given: Mapping[str, Any]) -> dict[str, Any]:
        parameter: dict[str, Any] = self._copied(given)
        if "schema" not in parameter:
            return parameter
        plain = self._resolved(parameter["schema"])
        simple = plain.get("type") in ("string", "integer")
        return accepted_parameter(parameter, self._copied(plain) if simple else parameter["schema"])

    def _body(self, given: Any) -> dict[str, Any]:
        body: dict[str, Any] = self._copied(self._resolved(given))
        for media in (body.get("content") or {}).values():
            if "schema" in media:
                media["schema"] = accepted_body(media["schema"])
        return body

    def _responses(self, each: WrappedOperation, content: Mapping[str, Any]) -> dict[str, Any]:
        given = {str(status).upper(): answer for status, answer in (content.get("responses") or {}).items()}
        made = {
            status if status != "DEFAULT" else "default": self._answer(answer, status)
            for status, answer in given.items()
        }
        codes = [*_ALWAYS, *(_WITH_BODY if each.route.takes_body else ())]
        codes += [_ENDED] if self._api.lifecycle.sunset_at is not None else []
        for code in codes:
            theirs = next((given[name] for name in (str(code), f"{code // 100}XX", "DEFAULT") if name in given), None)
            made[str(code)] = self._problem(code) if theirs is None else self._either(theirs, code)
        return dict(sorted(made.items()))

    def _answer(self, given: Any, status: str) -> dict[str, Any]:
        """An answer of theirs with the fields that ours always bear."""
        answer = self._copied(self._resolved(given))
        said = {
            name: header
            for name, header in (answer.get("headers") or {}).items()
            if name.lower() not in self._wrapped.unsaid and name.lower() not in {each.lower() for each in self._dated}
        }
        answer.setdefault("description", answers.PHRASES.get(int(status), status) if status.isdigit() else status)
        answer["headers"] = said | _ours(answers.headers(*answers.ALWAYS, *answers.LIMITED, *self._dated))
        links = {name: self._resolved(link) for name, link in (answer.pop("links", None) or {}).items()}
        links = {name: link for name, link in links.items() if link.get("operationId") in self._served}
        return {**answer, **({"links": links} if links else {})}

    def _problem(self, code: int) -> dict[str, Any]:
        return {"$ref": f"{_COMPONENTS}responses/{_OURS}Problem{code}"}

    def _either(self, theirs: Any, code: int) -> dict[str, Any]:
        """A status that they declare and we may answer as well."""
        answer = self._answer(theirs, str(code))
        content = dict(answer.get("content") or {})
        problem: Any = {"$ref": f"{_COMPONENTS}schemas/{_OURS}Problem"}
        if isinstance(content.get(_PROBLEM), dict) and "schema" in content[_PROBLEM]:
            problem = {"anyOf": [content[_PROBLEM]["schema"], problem]}
        ours = _ours(answers.RESPONSES[f"Problem{code}"])
        headers = {**ours["headers"], **answer["headers"]}
        return {**answer, "headers": headers, "content": {**content, _PROBLEM: {"schema": problem}}}

    def _components(self, paths: Any) -> dict[str, Any]:
        """What the paths refer to, and what that refers to."""
        ours = {
            "schemas": {f"{_OURS}{name}": schema for name, schema in answers.SCHEMAS.items()},
            "headers": {f"{_OURS}{name}": header for name, header in answers.HEADERS.items()},
            "responses": {f"{_OURS}{name}": _ours(answer) for name, answer in answers.RESPONSES.items()},
        }
        made: dict[str, dict[str, Any]] = {}
        sent = [operation.get(part) for item in paths.values() for operation in item.values() for part in _WHAT_IS_SENT]
        for reference in self._reachable(sent):
            section, _, name = reference.removeprefix(_COMPONENTS).partition("/")
            if section == "schemas":
                made.setdefault(section, {})[name] = accepted_body(self._copied(self._at(reference)))
        waiting = [*_references(paths), *_references(made)]
        while waiting:
            section, _, name = waiting.pop().removeprefix(_COMPONENTS).partition("/")
            name = name.split("/")[0].replace("~1", "/").replace("~0", "~")
            if name in made.setdefault(section, {}):
                continue
            known = ours.get(section, {})
            theirs = ((self._given.get("components") or {}).get(section) or {}).get(name)
            found = known[name] if name in known else self._copied(theirs)
            made[section][name] = found
            waiting += _references(found)
        return {section: dict(sorted(named.items())) for section, named in sorted(made.items())}

    def _reachable(self, value: Any) -> set[str]:
        """Every reference to a component in `value`, and in what they lead to."""
        found: set[str] = set()
        waiting = list(_references(value))
        while waiting:
            reference = waiting.pop()
            if reference not in found:
                found.add(reference)
                waiting += _references(self._copied(self._at(reference)))
        return found

    def _resolved(self, value: Any) -> Mapping[str, Any]:
        for _ in range(_DEEPEST):
            if not isinstance(value, Mapping) or not isinstance(value.get("$ref"), str):
                found: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
                return found
            value = self._at(value["$ref"])
        raise Misconfigured(f"{self._api.name}: references go in a circle: bundle the document anew")

    def _at(self, reference: str) -> Any:
        try:
            return standing_at(self._given, reference)
        except KeyError:
            raise Misconfigured(f"{self._api.name}: nothing stands at {reference} in its document") from None

    def _copied(self, value: Any, depth: int = 0) -> Any:
        """A copy that refers to components only: what stands below their paths has moved."""
        if depth > _DEEPEST:
            raise Misconfigured(f"{self._api.name}: its document is too deep, or refers to itself by its paths")
        if isinstance(value, Mapping):
            reference = value.get("$ref")
            if isinstance(reference, str) and not reference.startswith(_COMPONENTS):
                return self._copied(self._at(reference), depth + 1)
            return {str(key): self._copied(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._copied(inner, depth + 1) for inner in value]
        return value


def _ours(value: Any) -> Any:
    """`value` of `answers` with references to our components by their names here."""
    if isinstance(value, Mapping):
        return {key: _renamed(inner) if key == "$ref" else _ours(inner) for key, inner in value.items()}
    return [_ours(inner) for inner in value] if isinstance(value, list) else value


def _renamed(reference: str) -> str:
    place, _, name = reference.rpartition("/")
    return f"{place}/{_OURS}{name}"


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_COMPONENTS):
            yield reference
        for key, inner in value.items():
            if key == "discriminator" and isinstance(inner, Mapping):
                yield from (each for each in (inner.get("mapping") or {}).values() if each.startswith(_COMPONENTS))
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _named(each: WrappedOperation) -> str:
    words: Sequence[str] = _WORDS.findall(each.path)
    return each.method + "".join(word[0].upper() + word[1:] for word in words)
