import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.context import Principal, Zone
from gateway.kernel.errors import NotAllowed
from gateway.kernel.exchange import Exchange, Route
from policies.authorise.options import AuthoriseOptions
from policies.authorise.policy import Authorise

SCOPES = st.frozensets(st.sampled_from(["a", "b", "c"]))
ZONES = st.frozensets(st.sampled_from(list(Zone)))


def exchange(*, zone=Zone.EXPERIENCE, needed=(), zones=(Zone.EXPERIENCE,), scopes=(), tenant="acme"):
    made = Exchange({"method": "GET", "path": "/x", "headers": []}, None, 0.0)
    made.route = Route(
        id="GET /x", method="GET", template="/x", api="a", version="v1", zone=zone, scopes=frozenset(needed)
    )
    made.principal = Principal(tenant, "cli_1", "client:cli_1", frozenset(zones), frozenset(scopes))
    return made


@given(zone=st.sampled_from(list(Zone)), needed=SCOPES, zones=ZONES, scopes=SCOPES)
def test_exactly_zone_and_all_scopes_open_a_route(zone, needed, zones, scopes):
    made = exchange(zone=zone, needed=needed, zones=zones, scopes=scopes)
    if zone in zones and needed <= scopes:
        assert Authorise().admit(made) is None
    else:
        with pytest.raises(NotAllowed):
            Authorise().admit(made)


def test_a_missing_scope_is_named_in_the_challenge():
    made = exchange(needed={"orders:write", "orders:read"}, scopes={"orders:read"})
    with pytest.raises(NotAllowed) as refused:
        Authorise().admit(made)
    assert refused.value.code == "authorise.scope"
    assert "orders:write" in refused.value.detail
    expected = b'Bearer error="insufficient_scope", scope="orders:read orders:write"'
    assert (b"www-authenticate", expected) in made.reply_headers


def test_a_partner_does_not_reach_process_or_system_apis():
    for zone in (Zone.PROCESS, Zone.SYSTEM):
        with pytest.raises(NotAllowed) as refused:
            Authorise().admit(exchange(zone=zone))
        assert refused.value.code == "authorise.zone"


def test_a_tenant_that_is_not_served_here_is_refused():
    policy = Authorise(AuthoriseOptions(tenants=frozenset({"acme"})))
    assert policy.admit(exchange()) is None
    with pytest.raises(NotAllowed) as refused:
        policy.admit(exchange(tenant="other"))
    assert refused.value.code == "authorise.tenant"


def test_a_path_that_names_another_tenant_is_refused():
    made = exchange()
    made.path_params = {"tenant": "acme"}
    assert Authorise().admit(made) is None
    made.path_params = {"tenant": "other"}
    with pytest.raises(NotAllowed):
        Authorise().admit(made)


def test_a_route_with_a_zone_and_no_principal_is_refused():
    made = exchange()
    made.principal = None
    with pytest.raises(NotAllowed):
        Authorise().admit(made)


def test_a_public_route_is_open():
    made = exchange(zone=None)
    made.principal = None
    assert Authorise().admit(made) is None
