import pytest

from tests.conformance.suite import conformance


@pytest.mark.integration
class TestTrytonLive(*conformance("tryton")):
    @pytest.fixture
    def counterpart(self, tryton_live):
        return tryton_live


class TestTrytonRecorded(*conformance("tryton", recorded=True)):
    @pytest.fixture
    def counterpart(self, tryton_recorded):
        return tryton_recorded
