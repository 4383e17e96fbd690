import pytest

from tests.conformance.suite import conformance


@pytest.mark.integration
class TestRegionalErp(*conformance("regional_erp")):
    @pytest.fixture
    def counterpart(self, regional_erp):
        return regional_erp
