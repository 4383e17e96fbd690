"""The proxies that are measured beside ours do the same checks: else their figures would say nothing."""

from __future__ import annotations

import pytest

from benchmarks.edge.peer_proxies import EXPECTED, PEERS, of_two_clients, own_tokens, shown

pytestmark = [pytest.mark.long, pytest.mark.integration]


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_asks_for_a_token_checks_it_and_limits_each_client(name, tmp_path):
    if reason := PEERS[name].missing():
        pytest.skip(reason)
    checks, tokens = own_tokens(4, 2, tmp_path)

    assert shown(name, checks, of_two_clients(tokens), tmp_path) == EXPECTED
