"""Entity tags, preconditions and names of plans."""

import pytest

from gateway.kernel.errors import Conflict, Invalid, Rejected
from process_apis.partner_accounts.rules import check_plan_name, entity_tag, expected_version


def test_a_tag_given_out_is_taken_back():
    assert expected_version(entity_tag(7)) == 7


def test_a_change_without_a_precondition_is_told_to_send_one():
    with pytest.raises(Rejected) as refused:
        expected_version(None)
    assert refused.value.code == "precondition.required"


@pytest.mark.parametrize("tag", ["*", "v1", 'W/"v1"', '"v0"', '"v01"', '"v1", "v2"', '"v1"\n"v2"', ""])
def test_a_tag_that_is_not_ours_is_that_of_no_version(tag):
    with pytest.raises(Conflict) as refused:
        expected_version(tag)
    assert refused.value.code == "precondition.failed"


@pytest.mark.parametrize("name", ["", "Gold", "1st", "a" * 41, "a/b", "gold\n", "ä"])
def test_a_plan_has_a_name_that_can_stand_in_a_path(name):
    with pytest.raises(Invalid):
        check_plan_name(name)
    check_plan_name("gold-2_x")
