"""What a shop was told and shows, from its own journal and books, beside the record by SQL. Imports nothing of ours."""

import json
import sqlite3
from collections import Counter
from datetime import datetime
from pathlib import Path

TRUTH = """
select i.sku, sum(l.sellable - l.reserved - l.allocated - l.external)::bigint as free
from availability.stock_line l join items.item i on i.tenant = l.tenant and i.item = l.item group by i.sku
"""


class Told:
    """The calls that a shop received after the first `after` of them."""

    def __init__(self, folder: Path, after: int = 0) -> None:
        lines = (folder / "received.jsonl").read_text(encoding="utf-8").splitlines()
        self.calls = [json.loads(line) for line in lines if json.loads(line)["n"] > after]
        self.sets = [json.loads(call["body"])["levels"] for call in self.calls if "levels/set" in call["target"]]

    @property
    def last(self) -> int:
        """The number of the latest call."""
        return self.calls[-1]["n"] if self.calls else 0

    @property
    def refused(self) -> int:
        """Calls beyond what the vendor bears."""
        return sum(call["status"] == 429 for call in self.calls)

    @property
    def fullest(self) -> int:
        """Calls in the vendor's bucket at most."""
        return max(int(call["standing"]["x-shop-call-limit"].split("/")[0]) for call in self.calls)

    @property
    def times(self) -> Counter[str]:
        """How often each figure was set."""
        return Counter(level["sku"] for levels in self.sets for level in levels)

    @property
    def seconds(self) -> float:
        """From the first call that set something to the last."""
        at = [datetime.fromisoformat(call["at"]) for call in self.calls if "levels/set" in call["target"]]
        return (at[-1] - at[0]).total_seconds()


def shown(folder: Path) -> dict[str, int]:
    """What the shop's own books show."""
    with sqlite3.connect(f"file:{folder / 'shop.sqlite3'}?mode=ro", uri=True) as books:
        return dict(books.execute("select sku, quantity from level"))
