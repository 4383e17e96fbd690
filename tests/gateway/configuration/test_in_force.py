"""What commands tell, and what administration takes, is what the newest configuration says."""

from datetime import UTC, datetime

import pytest

from gateway.app import Core
from gateway.configuration.tree import Configuration
from gateway.governance import _dates_in_force
from gateway.kernel.errors import Misconfigured
from gateway.kernel.lifecycle import Lifecycle
from gateway.partner_administration import _configured_plans
from gateway.settings import BackboneSettings, CacheSettings, SecretSettings, Settings, StoreSettings
from policies.rate_limit.options import Limit, PlanLimits, RateLimitOptions

from .conftest import apply

ENDS = Lifecycle(api="storefront", version="v1", deprecated_at=datetime(2026, 1, 1, tzinfo=UTC))
GOLD = Configuration(
    rate_limit=RateLimitOptions(
        plans={name: PlanLimits(default=Limit(rate="9/minute")) for name in ("standard", "gold")}
    ),
    lifecycles=(ENDS,),
)


@pytest.fixture
def settings(tmp_path):
    """Settings that name no plan but the standard one."""
    secret = tmp_path / "secret"
    secret.write_text("redis://127.0.0.1:1/0?long-enough-for-a-master-key-of-a-test", encoding="utf-8")
    reference = f"file:{secret}"
    return Settings(
        tenant="acme",
        secrets=SecretSettings(keys={"1": reference}),
        store=StoreSettings(url=reference, installation=""),
        backbone=BackboneSettings(url=reference),
        cache=CacheSettings(url=reference),
    )


def test_a_partner_may_have_a_plan_that_only_the_configuration_knows(settings):
    core = Core(settings)
    assert "gold" not in core.partner_accounts.plans
    core.adopt(GOLD)
    assert {"standard", "gold"} <= core.partner_accounts.plans


@pytest.mark.integration
async def test_commands_know_the_plans_and_dates_of_the_newest_configuration(settings, store):
    async with store.connection() as connection:
        assert await _dates_in_force(connection, None) == []
        assert (await _configured_plans(settings, connection))[1] == "settings"
    await apply(store, GOLD, replaces=0)
    async with store.connection() as connection:
        plans, place = await _configured_plans(settings, connection)
        assert await _dates_in_force(connection, None) == [ENDS]
    assert (set(plans), place) == ({"standard", "gold"}, "version 1")


@pytest.mark.parametrize("seconds", [0.0, -1.0, 11.0])
def test_a_cache_that_is_waited_for_no_time_or_too_long_does_not_start(seconds):
    with pytest.raises(Misconfigured, match="timeout_seconds"):
        CacheSettings(url="env:CACHE", timeout_seconds=seconds)
