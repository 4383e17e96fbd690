"""Settings of one S/4HANA instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

# SAP's commercial unit codes (table T006A, English) and the UN/ECE Recommendation 20 or 21 codes that they mean.
STANDARD_UNITS: Final[Mapping[str, str]] = {
    "EA": "EA",
    "PC": "H87",
    "ST": "H87",
    "KG": "KGM",
    "G": "GRM",
    "TO": "TNE",
    "LB": "LBR",
    "OZ": "ONZ",
    "L": "LTR",
    "ML": "MLT",
    "GAL": "GLL",
    "M": "MTR",
    "CM": "CMT",
    "MM": "MMT",
    "FT": "FOT",
    "IN": "INH",
    "M2": "MTK",
    "M3": "MTQ",
    "H": "HUR",
    "DAY": "DAY",
    "DZ": "DZN",
    "CS": "CS",
    "CAR": "CT",
    "CRT": "CR",
    "BOX": "BX",
    "PAK": "PK",
    "PAL": "PX",
}


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One S/4HANA client (SAP's word for a tenant) and the user we are in it.

    `base_url` is the host; the services' paths are SAP's. `password` is ``env:NAME`` or ``file:/path``. Orders are
    made in one sales area (`sales_organization`, `distribution_channel`, `division`) with `order_type`, our prices as
    the condition `price_condition`, and cancelled by `rejection_reason`, both of which the customising must know.
    `units` adds to or overrides the table of SAP's units and UN/ECE codes. `customers` has the business partners that
    do not bear the number that we call them by. `plant_field` is what an order's item calls its plant: S/4HANA
    ``ProductionPlant``, mock-sap as it comes ``Plant``. `settle_time_s`: how many seconds an unanswered request may
    still be at work. `order_key_epoch` is raised by the operator after a restore from a backup.
    """

    base_url: str
    user: str
    password: str
    sales_organization: str
    client: str = ""
    distribution_channel: str = "10"
    division: str = "00"
    order_type: str = "OR"
    price_condition: str = "PPR0"
    rejection_reason: str = "00"
    units: Mapping[str, str] = {}
    customers: Mapping[str, str] = {}
    plant_field: Literal["ProductionPlant", "Plant"] = "ProductionPlant"
    settle_time_s: float = 60.0
    order_key_epoch: int = 0
    page_size: int = 200

    def unit_codes(self) -> Mapping[str, str]:
        """Rec 20 code by SAP's unit."""
        return {**STANDARD_UNITS, **self.units}
