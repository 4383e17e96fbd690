import pytest

from tests.conformance.suite import conformance


@pytest.mark.integration
class TestSapS4(*conformance("sap_s4")):
    @pytest.fixture
    def counterpart(self, sap_s4):
        return sap_s4
