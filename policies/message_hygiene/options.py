"""Options of the message hygiene policy."""

from msgspec import Struct


class MessageHygieneOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`most_fields` and the sizes (bytes) bound the header section.

    `trusted_peers` are networks (CIDR) whose ``X-Forwarded-For`` counts, read `hops` places from the right; everybody
    else's is dropped. `hosts` limits the names this gateway answers to; empty answers to any.
    """

    most_fields: int = 100
    longest_field: int = 16_384
    largest_section: int = 32_768
    trusted_peers: tuple[str, ...] = ()
    hops: int = 1
    hosts: frozenset[str] = frozenset()
