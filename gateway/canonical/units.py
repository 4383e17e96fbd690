"""Units of measure: the codes of UN/ECE Recommendation 20, and of Recommendation 21 for packages.

A package's code may stand as Recommendation 21 writes it (``CS``, a case) or as Recommendation 20 takes it over
(``XCS``); what is known by one of them is not known by the other, as with any two units of an item.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

_FILE: Final = Path(__file__).with_name("unit_codes.tsv")
# What people write, and what they mean. Some of it is a package's code, which nobody meant: KG is a keg.
_MEANT: Final = {
    **dict.fromkeys(("KG", "KGS", "KILO"), "KGM"),
    **dict.fromkeys(("G", "GR", "GM"), "GRM"),
    **dict.fromkeys(("LB", "LBS"), "LBR"),
    **dict.fromkeys(("OZ",), "ONZ"),
    **dict.fromkeys(("T", "TO", "TON"), "TNE"),
    **dict.fromkeys(("L", "LT", "LTS"), "LTR"),
    **dict.fromkeys(("ML",), "MLT"),
    **dict.fromkeys(("GAL",), "GLL"),
    **dict.fromkeys(("M", "MT"), "MTR"),
    **dict.fromkeys(("CM",), "CMT"),
    **dict.fromkeys(("MM",), "MMT"),
    **dict.fromkeys(("FT",), "FOT"),
    **dict.fromkeys(("IN",), "INH"),
    **dict.fromkeys(("YD",), "YRD"),
    **dict.fromkeys(("M2", "SQM"), "MTK"),
    **dict.fromkeys(("M3", "CBM"), "MTQ"),
    **dict.fromkeys(("H", "HR", "HRS"), "HUR"),
    **dict.fromkeys(("PC", "PCS", "PCE", "ST", "STK"), "H87"),
    **dict.fromkeys(("U", "UN", "UNIT"), "EA"),
    **dict.fromkeys(("DOZ", "DZ"), "DZN"),
    **dict.fromkeys(("CASE",), "CS"),
    **dict.fromkeys(("BOX",), "BX"),
    **dict.fromkeys(("CTN",), "CT"),
    **dict.fromkeys(("PACK", "PKG"), "PK"),
    **dict.fromkeys(("PLT", "PALLET"), "PX"),
}


@cache
def units() -> Mapping[str, str]:
    """The name of each unit by its code; empty for those that are seldom traded in."""
    found: dict[str, str] = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, _, name = line.partition("\t")
            found[code] = name
    packages = {code[1:]: name for code, name in found.items() if code.startswith("X") and len(code) == len("XCS")}
    return MappingProxyType({**{code: name for code, name in packages.items() if code not in _MEANT}, **found})


def is_unit(code: str) -> bool:
    """Whether it is one of the Recommendations' codes."""
    return code in units()


def no_unit(code: str) -> str:
    """A sentence about a code that is none, with the nearest that is one."""
    nearest = _nearest(code.strip())
    if nearest is None:
        return f"{code[:20]!r} is no unit of UN/ECE Recommendation 20: give a code such as EA, KGM or CS"
    name = units()[nearest]
    return f"{code[:20]!r} is no unit of UN/ECE Recommendation 20 (nearest: {nearest}{', ' + name if name else ''})"


@lru_cache(maxsize=1024)
def _nearest(code: str) -> str | None:
    upper = code.upper()
    if upper in units() or upper in _MEANT:
        return _MEANT.get(upper, upper)
    by_name = {name.upper(): each for each, name in units().items() if name and not each.startswith("X")}
    if found := get_close_matches(upper, by_name, n=1, cutoff=0.75):
        return by_name[found[0]]
    named = [each for each, name in units().items() if name]
    close = get_close_matches(upper, named, n=1)
    return close[0] if close else None
