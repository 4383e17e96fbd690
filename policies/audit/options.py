"""Options of the audit policy."""

from msgspec import Struct


class AuditOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`read_sample` is the share (0 to 1) of successful reads kept.

    Of the denials with one code from one caller, `denials_each` per `denial_window` seconds are kept whole; the rest
    is kept as one count. The queue holds `queue` entries; when the store is down and it is full, changes wait up to
    `patience` seconds for room and are then written to the log instead, reads are dropped, and both are counted.
    """

    read_sample: float = 0.01
    denials_each: int = 10
    denial_window: float = 60.0
    queue: int = 10_000
    patience: float = 1.0
