"""What a channel says of itself."""

import pytest

from gateway.kernel.errors import Misconfigured
from gateway.settings import ChannelSettings, PublicationSettings

SHOWN = PublicationSettings(system="shop")


@pytest.mark.parametrize(
    ("said", "committed"),
    [({}, False), ({"buyer_committed": True}, True), ({"publication": SHOWN}, True)],
    ids=["nothing said", "said", "published"],
)
def test_a_channel_is_committed_where_it_says_so_or_sells_by_itself(said, committed):
    assert ChannelSettings(name="web", **said).is_committed is committed


@pytest.mark.parametrize(
    "said",
    [{"publication": SHOWN, "buyer_committed": False}, {"cancel_after_days": 0.0}],
    ids=["published and refusable", "given up at once"],
)
def test_what_cannot_be_is_refused_at_the_start(said):
    with pytest.raises(Misconfigured):
        ChannelSettings(name="web", **said)
