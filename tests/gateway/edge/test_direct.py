"""Which handlers the door calls itself, and that nobody can tell."""

from typing import Annotated

import pytest
from litestar import Request, get
from litestar.exceptions import PermissionDeniedException
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from gateway.edge.direct import direct_handlers
from gateway.edge.litestar_app import make_litestar

from .conftest import SHOP, Door, shop_routes


def test_plain_handlers_are_called_directly_and_unusual_ones_are_not():
    direct = direct_handlers(*make_litestar(shop_routes()))
    assert {"POST /shop/v1/orders", "DELETE /shop/v1/orders/{order_id}", "GET /public"} <= set(direct)
    assert "GET /shop/v1/orders" not in direct  # a repeated parameter
    assert "GET /shop/v1/orders/{order_id}" not in direct  # a dependency
    assert "GET /shop/v1/ticks" not in direct  # a stream


def test_a_guard_a_hook_or_a_typed_path_keeps_a_handler_with_the_router():
    def guard(*_):
        raise PermissionDeniedException("no")

    async def hook(response):
        return response

    @get("/guarded", opt=SHOP, guards=[guard])
    async def guarded() -> None: ...

    @get("/hooked", opt=SHOP, after_request=hook)
    async def hooked() -> None: ...

    @get("/typed/{number:int}", opt=SHOP)
    async def typed(number: FromPath[int]) -> None: ...

    @get("/cached", opt=SHOP, cache=True)
    async def cached() -> None: ...

    @get("/streamed", opt={**SHOP, "streaming": True})
    async def streamed() -> Stream: ...

    assert not direct_handlers(*make_litestar([guarded, hooked, typed, cached, streamed]))


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/public", None),
        ("HEAD", "/public", None),
        ("DELETE", "/shop/v1/orders/o1", None),
        ("POST", "/shop/v1/orders", {"number": "P", "lines": [{"sku": "A", "quantity": 1}]}),
        ("POST", "/shop/v1/orders", {"number": "P", "lines": []}),
        ("POST", "/shop/v1/orders/o1/cancellations", None),
        ("GET", "/shop/v1/header?value=a%20b", None),
        ("GET", "/shop/v1/search?word=x%2Fy&limit=3", None),
        ("GET", "/shop/v1/search?word=caf%C3%A9", None),
        ("GET", "/shop/v1/search?word=&limit=3", None),
        ("GET", "/shop/v1/search?limit=3", None),
        ("GET", "/shop/v1/search?word=x&limit=1000", None),
        ("GET", "/shop/v1/denied", None),
    ],
)
async def test_a_direct_answer_is_the_routers_answer(method, target, body):
    @get("/shop/v1/search", opt=SHOP)
    async def search(
        request: Request, word: FromQuery[str], limit: Annotated[int, QueryParameter(le=100)] = 5
    ) -> dict[str, object]:
        return {"word": word, "limit": limit, "path": request.url.path, "host": request.headers["host"]}

    @get("/shop/v1/denied", opt=SHOP)
    async def denied() -> None:
        raise PermissionDeniedException("not this one")

    answers = []
    for direct in (True, False):
        door = Door({}, routes=[*shop_routes(), search, denied], direct=direct)
        answers.append(await door.send(method, target, json_body=body))
    mine, routers = answers
    assert mine.status == routers.status
    varying = {"x-request-id"}
    assert {k: v for k, v in mine.headers.items() if k not in varying} == {
        k: v for k, v in routers.headers.items() if k not in varying
    }
    if mine.status < 400:
        assert mine.body == routers.body
    else:
        assert {**mine.json, "request_id": ""} == {**routers.json, "request_id": ""}
