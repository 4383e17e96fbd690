"""Options of the trace policy."""

from msgspec import Struct


class TraceOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`sample` is the share of requests (0 to 1) that make spans. Without an exporter nothing is made at all."""

    sample: float = 0.01
