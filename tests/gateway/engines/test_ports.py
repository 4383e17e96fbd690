"""Loopback ports: held until the service listens there."""

import os

import pytest

from gateway.engines.ports import Reservation, free_port, port_is_free, serves

pytestmark = [pytest.mark.integration]


def test_a_reserved_port_is_nobody_elses_until_it_is_released():
    held = Reservation(free_port(set()))
    assert not port_is_free(held.port)
    with pytest.raises(OSError, match="in use"):
        Reservation(held.port)
    held.release()
    held.release()
    assert port_is_free(held.port)


def test_who_serves_on_a_port_is_told_by_session():
    held = Reservation(free_port(set()))
    try:
        assert serves(os.getsid(0), held.port)
        assert not serves(1, held.port)
    finally:
        held.release()
