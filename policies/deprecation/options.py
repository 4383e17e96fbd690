"""Options of the deprecation policy."""

from msgspec import Struct

from gateway.kernel.lifecycle import Lifecycle


class DeprecationOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`lifecycles` holds the versions that have dates, from the one lifecycle file."""

    lifecycles: tuple[Lifecycle, ...] = ()
