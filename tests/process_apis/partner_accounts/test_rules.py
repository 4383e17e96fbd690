"""Names of plans."""

import pytest

from gateway.kernel.errors import Invalid
from process_apis.partner_accounts.rules import check_plan_name


@pytest.mark.parametrize("name", ["", "Gold", "1st", "a" * 41, "a/b", "gold\n", "ä"])
def test_a_plan_has_a_name_that_can_stand_in_a_path(name):
    with pytest.raises(Invalid):
        check_plan_name(name)
    check_plan_name("gold-2_x")
