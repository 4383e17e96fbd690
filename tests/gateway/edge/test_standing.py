"""Streams end with the credential that opened them."""

from gateway.edge.standing import Standing
from gateway.kernel.context import Principal
from gateway.kernel.errors import NotAuthenticated, Unavailable
from gateway.kernel.exchange import Exchange


class Door:
    """Open streams by name, and those that were ended."""

    def __init__(self, *names):
        self.open = {name: asked(name) for name in names}
        self.ended = []

    @property
    def door(self):
        return self

    def listening(self):
        return list(self.open.items())

    def end_stream(self, name):
        self.ended.append(name)
        return 1


def asked(name):
    exchange = Exchange({"method": "GET", "path": "/"}, None, 0.0)
    if name != "public":
        exchange.principal = Principal("acme", name, name, frozenset(), frozenset())
    return exchange


async def test_a_stream_ends_when_its_credential_does_and_the_others_go_on():
    door, verdicts = Door("stays", "revoked", "public", "later", "blind"), {}
    verdicts["revoked"] = NotAuthenticated("revoked", code="token.revoked")
    verdicts["later"] = Unavailable("the record is busy", code="store.unavailable")
    verdicts["blind"] = Unavailable("nothing is known any more", code="identity.unavailable")

    async def recheck(_, principal):
        if principal.subject in verdicts:
            raise verdicts[principal.subject]

    assert await Standing(door, recheck).look() == 2
    assert door.ended == ["revoked", "blind"]
