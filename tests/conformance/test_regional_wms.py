import pytest

from tests.conformance.suite import conformance


@pytest.mark.integration
class TestRegionalWms(*conformance("regional_wms")):
    @pytest.fixture
    def counterpart(self, regional_wms):
        return regional_wms
