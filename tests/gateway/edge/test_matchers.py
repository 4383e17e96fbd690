"""The door's matcher and the router's, fuzzed against each other through real dispatch: one path, one handler.

A disagreement that the door notices is a 500 (`RouteMismatch`), and fails here too.
"""

import asyncio
import re
from urllib.parse import unquote_to_bytes
from uuid import UUID, uuid4

from hypothesis import example, given, settings
from hypothesis import strategies as st
from litestar import get, post
from litestar.params import FromPath

from .conftest import Door

OPEN = {"zone": None}


def echoing(path, *names, kind=str, method=get):
    """A handler that tells which template it serves and what it was given."""
    if not names:

        @method(path, status_code=200, opt=OPEN)
        async def plain() -> dict[str, str]:
            return {"template": path}

        return plain
    if len(names) == 1:

        @method(path, status_code=200, opt=OPEN)
        async def one(a: FromPath[kind]) -> dict[str, str]:
            return {"template": path, "a": str(a)}

        return one

    @method(path, status_code=200, opt=OPEN)
    async def two(a: FromPath[str], b: FromPath[str]) -> dict[str, str]:
        return {"template": path, "a": a, "b": b}

    return two


def crossing():
    """Templates that overlap in every way the router knows: literals beside parameters, types, rests of paths."""
    return [
        echoing("/"), echoing("/a"), echoing("/a/b"), echoing("/a/b/c"), echoing("/b/c"), echoing("/f/a"),
        echoing("/a", method=post), echoing("/a/b", method=post),
        echoing("/a/{a:str}", "a"), echoing("/a/{a:str}", "a", method=post), echoing("/a/{a:str}/c", "a"),
        echoing("/n/{a:int}", "a", kind=int), echoing("/n/{a:int}/b", "a", kind=int),
        echoing("/u/{a:uuid}", "a", kind=UUID), echoing("/f/{a:path}", "a"), echoing("/{a:str}/c", "a"),
        echoing("/x/{a:str}/{b:str}", "a", "b"), echoing("/x/{a:str}/b/{b:str}", "a", "b"),
        echoing("/x/a/{a:str}", "a"),
    ]  # fmt: skip


DIRECT = Door({}, routes=crossing())
ROUTED = Door({}, routes=crossing(), direct=False)


def escaped(text):
    """Any mixture of a character and its escape, in either case of the digits."""
    ways = [st.sampled_from([c, *(f"%{b:02x}" for b in [ord(c)]), f"%{ord(c):02X}"]) for c in text if ord(c) < 128]
    return st.tuples(*ways).map("".join)


NAMES = ("a", "b", "c", "x", "n", "u", "f", "1", "-5", "07", "1_0", "+1", "A", "d.e", "a;b", "a,b", "(x)",
         "~", str(uuid4()))  # fmt: skip
segment = st.one_of(
    st.sampled_from(NAMES).flatmap(escaped),
    st.sampled_from(
        [
            "%C3%A9",
            "%D9%A5",
            "%ef%bc%8f",
            "..",
            ".",
            "",
            "%2e%2e",
            "%2E",
            "...",
            "..;",
            "%20",
            "%zz",
            "%2f",
            "%5c",
            "%00",
            "%25",
            "%ff",
        ]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=6),
)
path = st.lists(segment, max_size=6).map(lambda parts: "/" + "/".join(parts))
methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "get", "TRACE"])


def ask(door, method, target):
    answer = asyncio.run(door.send(method, target))
    assert answer.status != 500, (method, target, answer.body)
    return answer


@settings(max_examples=400)
@example(method="GET", target="/a/%62/c")
@example(method="GET", target="/f/%61")
@example(method="POST", target="//a/./b/")
@given(method=methods, target=path)
def test_direct_dispatch_and_the_router_always_come_to_the_same_handler(method, target):
    ours, theirs = ask(DIRECT, method, target), ask(ROUTED, method, target)
    assert (ours.status, ours.headers.get("allow")) == (theirs.status, theirs.headers.get("allow"))
    assert ours.status in {200, 204, 400, 404, 405}
    if ours.status == 200 and method != "HEAD":
        assert ours.json == theirs.json
        route, params, _ = ROUTED.table.locate(method, canonical(target))
        assert route.template == re.sub(r":\w+}", "}", ours.json["template"])
        assert {name: str(ours.json[name]) for name in params} == dict(params)


def canonical(target):
    """The one spelling, by another way than the policy's own."""
    parts = []
    for part in unquote_to_bytes(target).decode().split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)
