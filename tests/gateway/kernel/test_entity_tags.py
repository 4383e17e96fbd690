"""Entity tags and preconditions."""

import pytest

from gateway.kernel.entity_tags import entity_tag, expected_version
from gateway.kernel.errors import Conflict, Rejected


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
