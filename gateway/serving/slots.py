"""A listening socket for each slot of workers, on one port: the kernel deals new connections out, at random.

On one shared socket whoever wakes first accepts, and of a burst of keep-alive connections one worker may get most. The
sockets belong to the server and outlive every worker, so that nobody waits at a socket that closes. Which of them get
new connections is a small filter (`SO_ATTACH_REUSEPORT_CBPF`, socket(7)), which is changed when a worker dies or does
not answer. Elsewhere than on Linux, and for one worker, there is one socket.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from collections.abc import Sequence
from typing import Final

from gateway.serving.listener import bound

_SO_ATTACH_REUSEPORT_CBPF: Final = 51
# linux/bpf_common.h and linux/filter.h: load a random word, take it modulo K, compare with K, return K or A.
_LOAD: Final = 0x20
_MODULO: Final = 0x94
_IS: Final = 0x15
_RETURN: Final = 0x06
_RANDOM: Final = 0xFFFFF000 + 56


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Slots:
    """The sockets of `count` slots; raises `Misconfigured` where somebody listens at the address already."""

    def __init__(self, host: str, port: int, backlog: int, *, count: int) -> None:
        self._count = count if sys.platform == "linux" else 1
        self._open: tuple[int, ...] = tuple(range(self._count))
        if self._count == 1:
            self._sockets = [bound(host, port, backlog)]
            return
        # Two servers of one user could share the port: only a socket that does not share finds the other.
        with bound(host, port, backlog) as alone:
            address, family = alone.getsockname(), alone.family
        self._sockets = [_sharing(address, family, backlog) for _ in range(self._count)]

    def of(self, slot: int) -> socket.socket:
        """Where the workers of a slot accept."""
        return self._sockets[slot % self._count]

    def deal_to(self, slots: Sequence[int]) -> None:
        """Give new connections to these slots only; to all where there is none among them."""
        wanted = tuple(sorted(set(slots) & set(range(self._count)))) or tuple(range(self._count))
        if self._count == 1 or wanted == self._open:
            return
        program = _dealing(wanted)
        instructions = (_Instruction * len(program))(*(_Instruction(*each) for each in program))
        asked = _Program(len(program), ctypes.cast(instructions, ctypes.c_void_p))
        self._sockets[0].setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, bytes(asked))
        self._open = wanted


def _sharing(address: tuple[str, int], family: socket.AddressFamily, backlog: int) -> socket.socket:
    listening = socket.create_server(address[:2], family=family, backlog=backlog, reuse_port=True)
    listening.set_inheritable(True)
    return listening


def _dealing(slots: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """A filter that returns one of `slots`: their place is the order in which they began to listen."""
    program = [(_LOAD, 0, 0, _RANDOM), (_MODULO, 0, 0, len(slots))]
    for place, slot in enumerate(slots[1:], start=1):
        program += [(_IS, 0, 1, place), (_RETURN, 0, 0, slot)]
    return [*program, (_RETURN, 0, 0, slots[0])]
