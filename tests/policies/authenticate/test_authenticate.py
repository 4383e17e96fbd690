import pytest

from gateway.kernel.context import Principal, Zone
from gateway.kernel.errors import Invalid, NotAuthenticated, Unavailable
from gateway.kernel.exchange import Exchange, Route
from policies.authenticate.policy import Authenticate

PRINCIPAL = Principal("acme", "cli_1", "client:cli_1", frozenset({Zone.EXPERIENCE}), frozenset())


class Fake:
    def __init__(self, answer):
        self.answer = answer
        self.asked = 0

    def authenticate(self, headers, exchange=None):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def exchange(zone=Zone.EXPERIENCE):
    made = Exchange({"method": "GET", "path": "/x", "headers": []}, None, 0.0)
    made.route = Route(id="GET /x", method="GET", template="/x", api="a", version="v1", zone=zone)
    made.request_id, made.correlation_id = "req", "cor"
    return made


def test_a_known_caller_is_set_without_waiting():
    made = exchange()
    assert Authenticate(Fake(PRINCIPAL)).admit(made) is None
    assert made.principal is PRINCIPAL
    assert (made.caller.tenant, made.caller.request_id, made.caller.deadline) == ("acme", "req", made.deadline)


async def test_a_caller_that_has_to_be_looked_up_is_waited_for():
    async def looked_up():
        return PRINCIPAL

    made = exchange()
    await Authenticate(Fake(looked_up())).admit(made)
    assert made.principal is PRINCIPAL


def test_a_public_route_does_not_look_at_credentials():
    fake = Fake(NotAuthenticated("no"))
    made = exchange(zone=None)
    assert Authenticate(fake).admit(made) is None
    assert fake.asked == 0
    assert made.principal is None


def challenge(error):
    with pytest.raises(NotAuthenticated) as refused:
        Authenticate(Fake(error)).admit(exchange())
    assert refused.value.code == error.code
    return refused.value.context["www_authenticate"]


def test_a_missing_credential_is_challenged_without_an_error_code():
    assert challenge(NotAuthenticated("send one", code="credential.missing")) == 'Bearer realm="crossdock"'


def test_a_bad_credential_is_challenged_with_invalid_token():
    told = challenge(NotAuthenticated('it is "wrong" \\', code="token.invalid"))
    assert told == 'Bearer realm="crossdock", error="invalid_token", error_description="it is \'wrong\' "'


async def test_a_look_up_that_fails_is_challenged_too():
    async def unknown():
        raise NotAuthenticated("unknown", code="api_key.unknown")

    with pytest.raises(NotAuthenticated) as refused:
        await Authenticate(Fake(unknown())).admit(exchange())
    assert "invalid_token" in refused.value.context["www_authenticate"]


@pytest.mark.parametrize("error", [Unavailable("down"), Invalid("two", syntax=True)])
def test_an_outage_or_a_bad_request_is_not_turned_into_401(error):
    with pytest.raises(type(error)):
        Authenticate(Fake(error)).admit(exchange())
