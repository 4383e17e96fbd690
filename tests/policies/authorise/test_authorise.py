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


OURS = Authorise(AuthoriseOptions(tenant="acme"))


def exchange(
    *, zone=Zone.EXPERIENCE, needed=(), zones=(Zone.EXPERIENCE,), scopes=(), tenant="acme", tenant_aware=False
):
    made = Exchange({"method": "GET", "path": "/x", "headers": []}, None, 0.0)
    made.route = Route(
        id="GET /x",
        method="GET",
        template="/x",
        api="a",
        version="v1",
        zone=zone,
        tenant_aware=tenant_aware,
        scopes=frozenset(needed),
    )
    made.principal = Principal(tenant, "cli_1", "client:cli_1", frozenset(zones), frozenset(scopes))
    return made


@given(zone=st.sampled_from(list(Zone)), needed=SCOPES, zones=ZONES, scopes=SCOPES)
def test_exactly_zone_and_all_scopes_open_a_route(zone, needed, zones, scopes):
    made = exchange(zone=zone, needed=needed, zones=zones, scopes=scopes)
    if zone in zones and needed <= scopes:
        assert OURS.admit(made) is None
    else:
        with pytest.raises(NotAllowed):
            OURS.admit(made)


def test_a_missing_scope_is_named_in_the_challenge():
    made = exchange(needed={"orders:write", "orders:read"}, scopes={"orders:read"})
    with pytest.raises(NotAllowed) as refused:
        OURS.admit(made)
    assert refused.value.code == "authorise.scope"
    assert "orders:write" in refused.value.detail
    expected = b'Bearer error="insufficient_scope", scope="orders:read orders:write"'
    assert (b"www-authenticate", expected) in made.reply_headers


def test_a_partner_does_not_reach_process_or_system_apis():
    for zone in (Zone.PROCESS, Zone.SYSTEM):
        with pytest.raises(NotAllowed) as refused:
            OURS.admit(exchange(zone=zone))
        assert refused.value.code == "authorise.zone"


@given(
    zone=st.sampled_from(list(Zone)),
    tenant=st.sampled_from(["acme", "other", ""]),
    tenant_aware=st.booleans(),
    scopes=SCOPES,
)
def test_another_tenant_opens_a_route_only_where_it_says_that_it_is_aware_of_tenants(
    zone, tenant, tenant_aware, scopes
):
    made = exchange(zone=zone, zones=[zone], tenant=tenant, tenant_aware=tenant_aware, needed=scopes, scopes=scopes)
    if tenant == "acme" or tenant_aware:
        assert OURS.admit(made) is None
        return
    with pytest.raises(NotAllowed) as refused:
        OURS.admit(made)
    assert refused.value.code == "authorise.tenant"
    assert "acme" not in refused.value.detail


def test_a_route_that_says_nothing_of_tenants_is_closed_to_others():
    silent = Route(id="GET /x", method="GET", template="/x", api="a", version="v1", zone=Zone.EXPERIENCE)
    made = exchange(tenant="other")
    made.route = silent
    with pytest.raises(NotAllowed):
        OURS.admit(made)


def test_a_path_that_names_another_tenant_is_refused():
    made = exchange()
    made.path_params = {"tenant": "acme"}
    assert OURS.admit(made) is None
    made.path_params = {"tenant": "other"}
    with pytest.raises(NotAllowed):
        OURS.admit(made)


def test_a_route_with_a_zone_and_no_principal_is_refused():
    made = exchange()
    made.principal = None
    with pytest.raises(NotAllowed):
        OURS.admit(made)


def test_a_public_route_is_open():
    made = exchange(zone=None)
    made.principal = None
    assert OURS.admit(made) is None
