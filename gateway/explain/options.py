"""How much is kept for `crossdock explain`."""

from typing import Annotated

from msgspec import Meta, Struct


class ExplainOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `crossdock explain REQUEST_ID` can answer: every write and every answer but 2xx of the last `hours`.

    Reads that went well are sampled: one a second in each worker where `reads` is true. `most_bytes` caps what the
    records of all workers take in the database: from half of it on no read is kept, from three quarters on no denial
    (401, 403, 404, 405, 429), at the cap nothing; what is not kept is counted and `explain` says so.
    """

    hours: Annotated[int, Meta(ge=1, le=744)] = 24
    most_bytes: Annotated[int, Meta(ge=0)] = 2 * 1024**3
    reads: bool = True
