import pytest

from tests.conformance.suite import conformance


@pytest.mark.long
@pytest.mark.integration
class TestStorefrontShop(*conformance("storefront_shop")):
    @pytest.fixture
    def counterpart(self, storefront_shop):
        return storefront_shop
