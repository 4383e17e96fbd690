import pytest

from tests.conformance.suite import conformance


@pytest.mark.long
@pytest.mark.integration
class TestParcelCarrier(*conformance("parcel_carrier")):
    @pytest.fixture
    def counterpart(self, parcel_carrier):
        return parcel_carrier
