"""Who gets a new connection, on real sockets: each slot its share, or only those that are dealt to."""

import socket
import sys
from contextlib import ExitStack

import pytest

from gateway.engines.ports import free_port
from gateway.kernel.errors import Misconfigured
from gateway.serving.slots import Slots

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="one socket for all slots elsewhere"),
]
MANY = 200


@pytest.fixture
def port():
    return free_port(set())


@pytest.fixture
def slots(port):
    slots = Slots("127.0.0.1", port, 1024, count=3)
    yield slots
    for slot in range(3):
        slots.of(slot).close()


def dealt(slots, port, connections=MANY):
    """How many connections wait at each slot."""
    with ExitStack() as stack:
        for _ in range(connections):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        counts = []
        for slot in range(3):
            listening, count = slots.of(slot), 0
            listening.setblocking(False)
            while True:
                try:
                    accepted, _ = listening.accept()
                except BlockingIOError:
                    break
                accepted.close()
                count += 1
            counts.append(count)
    return counts


def test_every_slot_gets_its_share_of_a_burst(slots, port):
    first = dealt(slots, port)
    slots.deal_to([0, 1])
    slots.deal_to([0, 1, 2])  # now by our filter, no longer by the kernel's own
    for counts in (first, dealt(slots, port)):
        assert sum(counts) == MANY
        assert min(counts) > MANY / 10


def test_new_connections_go_only_where_they_are_dealt_to(slots, port):
    slots.deal_to([2])
    assert dealt(slots, port) == [0, 0, MANY]
    slots.deal_to([0, 2])
    first, second, third = dealt(slots, port)
    assert second == 0
    assert min(first, third) > MANY / 10
    slots.deal_to([])  # nobody answers: everybody may yet
    assert min(dealt(slots, port)) > MANY / 10


def test_a_port_that_another_server_has_is_refused_although_ports_can_be_shared(slots, port):
    with pytest.raises(Misconfigured, match="cannot listen"):
        Slots("127.0.0.1", port, 16, count=2)


def test_one_worker_has_one_socket_that_is_not_shared(port):
    alone = Slots("127.0.0.1", port, 16, count=1)
    with alone.of(0), pytest.raises(Misconfigured):
        Slots("127.0.0.1", port, 16, count=1)
    alone.deal_to([0])
