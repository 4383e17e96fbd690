"""The route table and the router must come to the same handler, whatever the path."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import get, post, websocket
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from gateway.edge.litestar_app import make_litestar
from gateway.kernel.context import Zone
from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import Idempotency
from policies.canonical_request.policy import canonical_path

OPEN = {"zone": None}


def crossing_routes():
    """Templates that overlap in every way the router knows: literals beside parameters, types, rests of paths."""

    def plain(path):
        @get(path, opt=OPEN)
        async def handler() -> None: ...

        return handler

    def one(path, kind):
        @get(path, opt=OPEN)
        async def handler(a: FromPath[kind]) -> None: ...

        return handler

    def two(path):
        @get(path, opt=OPEN)
        async def handler(a: FromPath[str], b: FromPath[str]) -> None: ...

        @post(path, opt=OPEN)
        async def other(a: FromPath[str], b: FromPath[str]) -> None: ...

        return [handler, other]

    return [
        plain("/"), plain("/a"), plain("/a/b"), plain("/a/b/c"), plain("/b/c"),
        one("/a/{a:str}", str), one("/a/{a:str}/c", str), one("/n/{a:int}", int), one("/n/{a:int}/b", int),
        one("/u/{a:uuid}", UUID), one("/f/{a:path}", str), plain("/f/a"), one("/{a:str}/c", str),
        *two("/x/{a:str}/{b:str}"), *two("/x/{a:str}/b/{b:str}"), one("/x/a/{a:str}", str),
    ]  # fmt: skip


app, table = make_litestar(crossing_routes())
segment = st.sampled_from(
    ["a", "b", "c", "x", "n", "u", "f", "1", "-5", "07", "\u0665", "1_0", "A", str(uuid4()), "d.e", "é"]
)


@given(st.lists(segment, max_size=5), st.sampled_from(["GET", "POST", "PUT"]))
def test_the_table_and_the_router_never_disagree(segments, method):
    path = canonical_path(("/" + "/".join(segments)).encode())
    route, params, allowed = table.locate(method, path)
    refused = None
    try:
        _, handler, _, theirs, template = app.asgi_router.handle_routing(path, method)
    except HTTPException as error:
        refused = error.status_code
    if refused is not None:
        assert not route.matched
        assert bool(allowed) == (refused == 405)
        return
    if not route.matched:
        # only where we are stricter about a typed parameter than the router's own coercion
        assert any(not isinstance(value, str) for value in theirs.values())
        return
    assert table.handler_of(route) is handler
    assert route.template == template
    assert {name: str(value) for name, value in theirs.items()} == dict(params) or "uuid" in str(theirs)


def test_a_head_is_served_by_get_and_a_known_path_lists_its_methods():
    assert table.locate("HEAD", "/a")[0].id == "GET /a"
    assert table.locate("PUT", "/x/1/2")[2] == ("GET", "HEAD", "OPTIONS", "POST")


def test_a_route_that_does_not_say_who_may_call_it_is_refused():
    @get("/lost")
    async def lost() -> None: ...

    with pytest.raises(Misconfigured, match="GET /lost"):
        make_litestar([lost])


@pytest.mark.parametrize("opt", [{"zone": "partners"}, {"zone": None, "idempotency": "sometimes"}])
def test_an_option_that_cannot_be_is_refused(opt):
    @get("/wrong", opt=opt)
    async def wrong() -> None: ...

    with pytest.raises(Misconfigured, match="GET /wrong"):
        make_litestar([wrong])


def test_a_websocket_is_refused_at_start():
    @websocket("/ws", opt=OPEN)
    async def ws(socket: object) -> None: ...

    with pytest.raises(Exception, match="ws"):
        make_litestar([ws])


def test_a_lenient_body_is_refused_at_start():
    class Lenient(Struct):
        name: str

    globals()["Lenient"] = Lenient

    @post("/lenient", opt=OPEN)
    async def lenient(data: JSONBody[Lenient]) -> None: ...

    with pytest.raises(Misconfigured, match="forbid_unknown_fields"):
        make_litestar([lenient])


def test_options_of_a_route_are_read_as_they_are_written():
    @post(
        "/api/v1/things",
        opt={
            "zone": "process", "scopes": ["things:write"], "api": "api", "version": "v1", "cost": 5,
            "idempotency": Idempotency.REQUIRED, "idempotency_retention": 60, "max_body": 10, "streaming": True,
        },
    )  # fmt: skip
    async def things() -> None: ...

    route = make_litestar([things])[1].routes[0]
    assert (route.zone, route.scopes, route.cost) == (Zone.PROCESS, frozenset({"things:write"}), 5)
    assert (route.idempotency, route.idempotency_retention) == (Idempotency.REQUIRED, 60)
    assert (route.max_body, route.streaming, route.id) == (10, True, "POST /api/v1/things")


def test_what_nothing_serves_is_governed_by_the_api_it_points_into():
    @get("/shop/v1/x", opt={"zone": "experience", "api": "shop", "version": "v1"})
    async def x() -> None: ...

    located = make_litestar([x])[1]
    assert located.locate("GET", "/shop/v1/y")[0].zone == Zone.EXPERIENCE
    assert located.locate("POST", "/shop/v1/x")[0].api == "shop"
    assert located.locate("GET", "/elsewhere")[0].zone is None


def test_what_nothing_serves_is_open_to_other_tenants_only_where_something_beside_it_is():
    @get("/shop/v1/x", opt={"zone": "experience", "tenant_aware": True, "api": "shop", "version": "v1"})
    async def x() -> None: ...

    @get("/system/erp/v1/x", opt={"zone": "system", "api": "erp", "version": "v1"})
    async def y() -> None: ...

    located = make_litestar([x, y])[1]
    paths = ("/shop/v1/x", "/shop/v1/none", "/system/erp/v1/x", "/system/erp/v1/none")
    for method in ("GET", "POST"):
        assert [located.locate(method, path)[0].tenant_aware for path in paths] == [True, True, False, False]


@pytest.mark.parametrize("seconds", [0, 31 * 86_400 + 1, 10**9])
def test_a_key_that_would_live_longer_than_31_days_is_refused_at_start(seconds):
    @post("/long", opt={**OPEN, "idempotency": "required", "idempotency_retention": seconds})
    async def handler() -> None: ...

    with pytest.raises(Misconfigured, match=r"POST /long: .*31 days"):
        make_litestar([handler])
