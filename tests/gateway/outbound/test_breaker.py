import pytest

from gateway.kernel.errors import Unavailable
from gateway.outbound.breaker import Breaker


@pytest.fixture
def breaker(clock):
    return Breaker("erp", clock, failures=2, open_for=2)


def fail(breaker):
    with breaker.admit() as trial:
        trial.failed()


def test_a_success_between_failures_starts_the_count_again(breaker):
    fail(breaker)
    with breaker.admit() as trial:
        trial.succeeded()
    fail(breaker)
    assert breaker.state == "closed"


def test_half_open_admits_one_trial_at_a_time(breaker, clock):
    fail(breaker)
    fail(breaker)
    clock.advance(2)
    with breaker.admit(), pytest.raises(Unavailable), breaker.admit():
        pass


def test_a_trial_without_verdict_leaves_it_half_open_for_the_next(breaker, clock):
    fail(breaker)
    fail(breaker)
    clock.advance(2)
    with pytest.raises(KeyboardInterrupt), breaker.admit():
        raise KeyboardInterrupt
    assert breaker.state == "half_open"
    with breaker.admit() as trial:
        trial.succeeded()
    assert breaker.state == "closed"


def test_each_failed_trial_opens_it_for_twice_as_long_up_to_a_minute(breaker, clock):
    fail(breaker)
    fail(breaker)
    waited = 2
    for expected in (4, 8, 16, 32, 60, 60):
        clock.advance(waited)
        fail(breaker)
        with pytest.raises(Unavailable) as caught, breaker.admit():
            pass
        assert caught.value.retry_after == expected
        waited = expected
