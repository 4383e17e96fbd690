"""The route table, compiled once from the router's own routes, which decides policy before the router is reached.

Two matchers that disagree are a hole, so this one walks exactly as Litestar's trie does (a whole literal path first;
then component by component, literal before parameter, without turning back), hands over the same parameters, and the
router's side asserts that both came to the same handler (`litestar_app.assert_same_route`).

What the router does not know (`RouteTable.add`: proxied APIs) is matched as OpenAPI has it: literal before parameter,
segment by segment, turning back where that leads nowhere (``/a/{x}/c`` beside ``/a/b/d`` serves ``/a/b/c``).

A handler says what it asks of the door in its `opt`: `zone` (required: ``experience``, ``process``, ``system``, or None
for what needs no credential), `tenant_aware`, `scopes`, `api`, `version`, `cost`, `body_cost`, `idempotency`,
`idempotency_retention` (seconds), `streaming`, `max_body` (bytes), `content_types`, `bodies` (the contract's type for
each content type, where they differ), `body` (that of a body which the handler reads itself), and `query` (names of
parameters that it reads from the request itself; ``"any"`` for all). A route's id is ``METHOD /template``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from litestar import Litestar
from litestar.routes import HTTPRoute

from gateway.edge.signature import route_of
from gateway.kernel.context import Zone
from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import Route

Parse = Callable[[str], Any]
Parsers = tuple[tuple[str, Parse | None], ...]
_DEEPEST_ANCHOR: Final = 3  # /process/items/v1


class _Node:
    __slots__ = ("children", "leaves", "parameter", "parsers", "routes", "takes_rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.takes_rest = False
        self.routes: dict[str, Route] = {}
        self.parsers: dict[str, Parsers] = {}
        # By method: what ends in one parameter of any text, and its name. Most requests are for such a route.
        self.leaves: dict[str, tuple[Route, str]] = {}

    def methods(self) -> tuple[str, ...]:
        known = {*self.routes, "OPTIONS"}
        return tuple(sorted(known | {"HEAD"} if "GET" in known else known))


class RouteTable:
    """Every operation that the door knows."""

    def __init__(self) -> None:
        self._plain: dict[str, _Node] = {}
        self._root = _Node()
        self._added = _Node()
        self._parents: dict[str, _Node] = {}
        self._handlers: dict[str, Any] = {}
        self._models: dict[str, Any] = {}
        self._zones: dict[str, set[Zone]] = {}
        self._tenant_aware: set[str] = set()
        self._versions: dict[str, tuple[str, str]] = {}
        self._unmatched: dict[tuple[str, str], Route] = {}

    @classmethod
    def compile(cls, app: Litestar) -> RouteTable:
        """The table of `app`; `Misconfigured` names the first route that does not say what it asks of the door."""
        table = cls()
        for route in app.routes:
            if not isinstance(route, HTTPRoute):
                raise Misconfigured(f"{route.path}: the door serves HTTP handlers only, no mounts and no websockets")
            table._add(route)
        return table

    def _add(self, http_route: HTTPRoute) -> None:
        components = http_route.path_components
        segments = [part if isinstance(part, str) else f"{{{part.full}}}" for part in components]
        node = self._node_at(segments, self._root)
        parsers = tuple((parameter.name, _parser(parameter)) for parameter in http_route.path_parameters.values())
        for method, (handler, model) in http_route.route_handler_map.items():
            if method == "OPTIONS" and "zone" not in handler.opt:
                continue  # the router's own; the door answers OPTIONS itself
            route = route_of(http_route.path_format, str(method), handler, model)
            self._place(route, node, parsers)
            self._handlers[route.id] = handler
            self._models[route.id] = model, parsers

    def add(self, route: Route, segments: Sequence[str]) -> None:
        """Serve `route`, whose handler the router does not know, at `segments` (parameters as ``{name}``).

        Raises `Misconfigured` when something is served there already, or another route's parameter has its place.
        """
        node = self._node_at(segments, self._added)
        if route.method in node.routes:
            raise Misconfigured(f"{route.id} is served twice", code="route.twice")
        self._place(route, node, tuple((segment[1:-1], None) for segment in segments if segment[0] == "{"))

    def _place(self, route: Route, node: _Node, parsers: Parsers) -> None:
        node.routes[route.method] = route
        node.parsers[route.method] = parsers
        if len(parsers) == 1 and parsers[0][1] is None and not node.takes_rest:
            node.leaves[route.method] = route, parsers[0][0]
        first = _first(route.template)
        if route.zone is not None:
            self._zones.setdefault(first, set()).add(route.zone)
            anchor, found, _ = f"{route.template}/".partition(f"/{route.version}/")
            if route.version and found:
                self._versions[f"{anchor}/{route.version}"] = route.api, route.version
        if route.tenant_aware:
            self._tenant_aware.add(first)

    def _node_at(self, segments: Sequence[str], root: _Node) -> _Node:
        """The node of a path, made if there is none. Parameters are ``{name}``; ``{name:path}`` takes the rest."""
        if not any(segment[0] == "{" for segment in segments):
            return self._plain.setdefault("/" + "/".join(segments), _Node())
        node, literal = root, ""
        for position, segment in enumerate(segments):
            if segment[0] != "{":
                node = node.children.setdefault(segment, _Node())
                literal += f"/{segment}"
                continue
            # The first parameter of this path.
            if literal.count("/") == position and self._parents.setdefault(literal, node) is not node:
                raise Misconfigured(f"{literal}/…: the router serves this already", code="route.twice")
            node.parameter = node.parameter or _Node()
            node = node.parameter
            node.takes_rest = node.takes_rest or segment.endswith(":path}")
        return node

    @property
    def routes(self) -> tuple[Route, ...]:
        """All operations, by template and method."""
        found: list[Route] = []
        waiting = [*self._plain.values(), self._root, self._added]
        while waiting:
            node = waiting.pop()
            found.extend(node.routes.values())
            waiting.extend(node.children.values())
            if node.parameter is not None:
                waiting.append(node.parameter)
        return tuple(sorted(found, key=lambda route: (route.template, route.method)))

    def handler_of(self, route: Route) -> Any:
        """The router's own handler object behind `route`."""
        return self._handlers.get(route.id)

    def compiled(self, route: Route) -> tuple[Any, Any, Parsers]:
        """The router's handler behind `route`, its model of arguments, and the parsers of the path parameters."""
        return self._handlers[route.id], *self._models[route.id]

    def locate(self, method: str, path: str) -> tuple[Route, dict[str, str], tuple[str, ...]]:
        """The route of a canonical path (see `LocatesRoutes`); HEAD is served by GET."""
        node = self._plain.get(path)
        values: list[str] = []
        if node is None:
            # Most paths are literal but for their end: one look instead of a walk, with the same result.
            literal, _, last = path.rpartition("/")
            parent = self._parents.get(literal)
            node = parent.parameter if parent is not None and last not in parent.children else None
            if node is not None and last and (leaf := node.leaves.get(method)) is not None:
                return leaf[0], {leaf[1]: last}, ()
            if node is None or not node.routes or not last:
                node = self._walk(path, values)
            else:
                values.append("/" + last if node.takes_rest else last)
        if node is None or not node.routes:
            return self._nowhere(method, path), {}, ()
        route = node.routes.get(method) or (node.routes.get("GET") if method == "HEAD" else None)
        if route is None:
            return self._nowhere(method, path, node), {}, node.methods()
        if not values:
            return route, {}, ()
        params = _parsed(node.parsers[route.method], values)
        if params is None:
            return self._nowhere(method, path), {}, ()
        return route, params, ()

    def _walk(self, path: str, values: list[str]) -> _Node | None:
        components = path[1:].split("/") if path != "/" else []
        node = self._follow(components, values)
        if node is None or not node.routes:
            known, values[:] = node, ()
            node = _seek(self._added, components, 0, values) or known
        return node

    def _follow(self, components: Sequence[str], values: list[str]) -> _Node | None:
        """As the router's trie goes: it does not turn back."""
        node = self._root
        for index, component in enumerate(components):
            child = node.children.get(component)
            if child is not None:
                node = child
                continue
            if node.parameter is None:
                return None
            node = node.parameter
            if node.takes_rest:
                values.append("/" + "/".join(components[index:]))
                break
            values.append(component)
        return node

    def _version_of(self, path: str) -> tuple[str, str]:
        """The API version that a path points into, though nothing is served there: its end is told there as well."""
        segments = path.split("/", _DEEPEST_ANCHOR + 1)
        anchors = ("/".join(segments[: depth + 1]) for depth in range(2, _DEEPEST_ANCHOR + 1))
        return next((self._versions[anchor] for anchor in anchors if anchor in self._versions), (segments[1], ""))

    def _nowhere(self, method: str, path: str, node: _Node | None = None) -> Route:
        """The route of what nothing serves, governed by the API that it points into."""
        if node is not None:
            known = next(iter(node.routes.values()))
            first, zone, tenant_aware = known.template, known.zone, known.tenant_aware
            api, version = known.api, known.version
        else:
            first = _first(path)
            zones, tenant_aware = self._zones.get(first, set()), first in self._tenant_aware
            first = first if zones else ""
            zone = next(iter(zones)) if len(zones) == 1 else None
            api, version = self._version_of(path) if zones else (first, "")
            first = f"{first}/{version}" if version else first
        key = (f"{api} {first}", str(zone))
        route = self._unmatched.get(key)
        if route is None:
            route = Route(
                id=f"unmatched {first or '/'}",
                method=method if method in ("GET", "POST") else "GET",
                template=first or "/",
                api=api,
                version=version,
                zone=zone,
                tenant_aware=tenant_aware,
                takes_body=False,
                matched=False,
            )
            self._unmatched[key] = route
        return route


def _seek(node: _Node, components: Sequence[str], at: int, values: list[str]) -> _Node | None:
    """The first node with routes, literal before parameter, turning back; `values` are those of its parameters."""
    if at == len(components):
        return node if node.routes else None
    child = node.children.get(components[at])
    found = None if child is None else _seek(child, components, at + 1, values)
    if found is None and node.parameter is not None and components[at]:
        values.append(components[at])
        found = _seek(node.parameter, components, at + 1, values)
        if found is None:
            values.pop()
    return found


def _first(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""


def _parser(parameter: Any) -> Parse | None:
    if parameter.type is int:
        return _whole_number
    if parameter.type is UUID:
        return _uuid
    parser: Parse | None = parameter.parser
    return parser


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        raise ValueError(text)
    return int(text)


def _uuid(text: str) -> UUID:
    found = UUID(text)
    if str(found) != text.lower():
        raise ValueError(text)
    return found


def _parsed(parsers: Parsers, values: Sequence[str]) -> dict[str, str] | None:
    if len(parsers) == 1 and parsers[0][1] is None:
        return {parsers[0][0]: values[0]}
    params: dict[str, str] = {}
    for (name, parse), text in zip(parsers, values, strict=True):
        if parse is not None:
            try:
                parse(text)
            except (ValueError, ArithmeticError):
                return None
        params[name] = text
    return params
