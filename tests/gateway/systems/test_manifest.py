from pathlib import Path

import pytest

import system_apis
from gateway.kernel.errors import Misconfigured
from gateway.systems.manifest import ManifestLimits, load_manifest, parse_manifest

TEXT = (Path(system_apis.__file__).parent / "regional_wms" / "manifest.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"ReadsStock"', '"ReadsMinds"', "ReadsMinds"),
        ('owner = "integration"', 'colour = "blue"', "colour"),
        ('reason = "its own sandbox runs in every test"', "", "reason"),
        ('rule = "catch-up"', 'rule = "exact-decimals"', "catch-up"),
        ('external_reference = "unique"', 'external_reference = "sometimes"', "sometimes"),
        ("burst = 1", 'burst = "one"', "int"),
        ('name = "regional_wms"', "name =", "line"),
    ],
)
def test_a_manifest_that_is_wrong_says_where(old, new, told):
    assert old in TEXT
    with pytest.raises(Misconfigured, match=told):
        parse_manifest(TEXT.replace(old, new), product="regional_wms")


def test_a_product_that_does_not_exist_is_named():
    with pytest.raises(Misconfigured, match="no_such_erp"):
        load_manifest("no_such_erp")


def test_processes_share_the_vendors_limits():
    share = ManifestLimits(rate_per_s=10, concurrency=5).for_process(4)
    assert (share.rate, share.concurrency) == (10, 1)
    assert ManifestLimits().for_process(2).rate is None
