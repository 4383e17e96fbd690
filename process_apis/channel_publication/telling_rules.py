"""What a channel is told next of an order: what came since it was told last. Pure."""

from __future__ import annotations

from gateway.canonical.channel import ChannelProgress, ChannelUpdate, ProgressLine
from gateway.kernel.errors import Conflict


def next_update(
    order_id: str, told: ChannelProgress | None, now: ChannelProgress, updates: int
) -> ChannelUpdate | None:
    """The update that leads from `told` to `now`; the first one confirms the order, whatever it says.

    Raises `Conflict` (``publication.told_more``) where less left, or less is cancelled, than the channel was told.
    """
    before = {line.line: line for line in told.lines} if told else {}
    lines = tuple(_since(before.get(line.line), line) for line in now.lines)
    if any(line.fulfilled < 0 or line.cancelled < 0 for line in lines):
        raise Conflict(
            f"less of {now.reference} left, or is cancelled, than its channel was told: correct it there, then ignore",
            code="publication.told_more",
        )
    new = tuple(line for line in lines if line.fulfilled or line.cancelled)
    tracking = tuple(number for number in now.tracking if told is None or number not in told.tracking)
    if told is not None and not new and not tracking and now.promised_on == told.promised_on:
        return None
    return ChannelUpdate(
        update=f"{order_id}/{updates + 1}",
        reference=now.reference,
        promised_on=now.promised_on,
        lines=new,
        tracking=tracking,
    )


def _since(before: ProgressLine | None, now: ProgressLine) -> ProgressLine:
    if before is None:
        return now
    return ProgressLine(
        line=now.line, fulfilled=now.fulfilled - before.fulfilled, cancelled=now.cancelled - before.cancelled
    )
