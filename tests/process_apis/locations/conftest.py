from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.canonical.location import Location
from gateway.kernel.clock import SystemClock
from process_apis.locations.known import KnownLocations
from process_apis.locations.process import Locations

SYSTEMS = ("wms_n", "wms_s", "erp")
DECLARED = [
    Location(
        location="north",
        name="North DC",
        region="na",
        time_zone="America/New_York",
        holder="wms_n",
        poster_to="erp",
        codes={"wms_n": "N", "erp": "WH-N"},
        priority=1,
    )
]


class MovingClock(SystemClock):
    """The machine's clock, which a test can move ahead."""

    ahead = timedelta()

    def now(self):
        return super().now() + self.ahead


@pytest.fixture
def clock():
    return MovingClock()


@pytest.fixture
def make_locations(reference_store, clock, tenant):
    """Makes the process as each worker has its own."""

    def make(declared=DECLARED):
        known = KnownLocations(reference_store, clock, {tenant: declared})
        return Locations(reference_store, clock, known=known, systems=SYSTEMS)

    return make


@pytest.fixture
async def locations(make_locations, tenant):
    made = make_locations()
    await made.declare(tenant, DECLARED)
    await made.known.refresh(tenant)
    return made
