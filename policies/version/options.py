"""Options of the version policy."""

from msgspec import Struct

from gateway.kernel.lifecycle import Lifecycle


class VersionOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`lifecycles` holds the versions that have dates; a version without an entry simply lives."""

    lifecycles: tuple[Lifecycle, ...] = ()
