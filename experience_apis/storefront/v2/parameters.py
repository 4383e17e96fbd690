"""What the operations of this version have in common: whose they are, and the parameters that several of them take."""

from collections.abc import Mapping
from typing import Any, Final

from litestar.params import PathParameter, QueryParameter

from experience_apis.storefront.v2 import schemas

API: Final[Mapping[str, Any]] = {"zone": "experience", "tenant_aware": True, "api": "storefront", "version": "v2"}
ORDER_ID: Final = PathParameter(
    description="An order's id, from the answer that accepted it.", max_length=30, pattern=schemas.ORDER_ID
)
CURSOR: Final = QueryParameter(description="`next_cursor` of the page before.", max_length=400, pattern=schemas.CURSOR)
