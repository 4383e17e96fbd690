"""What may be promised of a kit by date: its own, and what its components make with their supply. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.canonical.kit import Kit
from process_apis.availability.models import ChannelTerms
from process_apis.availability.promising_dates import Seen
from process_apis.availability.rules import usable

_ZERO: Final = Decimal(0)


class SeenKit(Struct, frozen=True):
    """A kit over time for one channel, whose terms for the kit are `terms`; `seen` has it and each component."""

    kit: Kit
    terms: ChannelTerms
    seen: Mapping[str, Seen]

    def promisable(self, on: date) -> Decimal:
        """What may be promised for a date, as `makeable` has it for now."""
        parts = [(self.seen[part.item], part.amount) for part in self.kit.components]
        at: list[dict[str, Decimal]] = [
            {place.location: place.promisable(on) // amount for place in seen.places} for seen, amount in parts
        ]
        places = [place for place in at[0] if usable(place, self.terms) is not None]
        together = sum((min(some.get(place, _ZERO) for some in at) for place in places), _ZERO)
        cap = min(seen.promisable(on) // amount for seen, amount in parts)
        return self.seen[self.kit.item].promisable(on) + min(together, cap)

    def earliest(self, amount: Decimal, today: date) -> date | None:
        """When first so much may be promised: that never falls as the date moves on, and changes by steps only."""
        steps = {on for seen in self.seen.values() for place in seen.places for on in place.dates if on > today}
        dates = [today, *sorted(steps)]
        first = bisect_left(dates, 1, key=lambda on: int(self.promisable(on) >= amount))
        return dates[first] if first < len(dates) else None
