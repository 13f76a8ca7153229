import pytest

from runwatch_console.headless.patience import FIRST_CONTACT_S, Patience
from runwatch_console.ports import Disconnected, LossReason


class Hand:
    """A clock moved by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def lost(retry_in_s: float | None = 0.1, reason: LossReason = LossReason.REFUSED) -> Disconnected:
    return Disconnected(reason=reason, retry_in_s=retry_in_s)


def test_a_server_never_reached_is_given_up_soon_even_with_endless_patience() -> None:
    clock = Hand()
    patience = Patience(None, monotonic=clock)
    assert not patience.exhausted(lost())
    clock.now_s = FIRST_CONTACT_S
    assert patience.exhausted(lost())


def test_a_server_once_reached_is_waited_for_as_long_as_was_said() -> None:
    clock = Hand()
    patience = Patience(30.0, monotonic=clock)
    assert not patience.reached()
    clock.now_s = 1000.0
    assert not patience.exhausted(lost())
    clock.now_s = 1029.0
    assert not patience.exhausted(lost(0.5))
    assert patience.exhausted(lost(2.0)), "the next try would come too late"


def test_each_outage_is_counted_from_its_own_beginning() -> None:
    clock = Hand()
    patience = Patience(30.0, monotonic=clock)
    patience.reached()
    assert not patience.exhausted(lost())
    clock.now_s = 20.0
    assert patience.reached(), "it was away before"
    assert not patience.exhausted(lost())
    clock.now_s = 45.0
    assert not patience.exhausted(lost())


def test_the_same_loss_again_is_no_news_until_the_server_was_there() -> None:
    patience = Patience(None, monotonic=Hand())
    assert [patience.news(lost(1.0)), patience.news(lost(2.0))] == [True, False]
    assert patience.news(lost(reason=LossReason.BUSY))
    patience.reached()
    assert patience.news(lost(reason=LossReason.BUSY))


def test_without_a_limit_a_server_once_reached_is_waited_for_for_ever() -> None:
    clock = Hand()
    patience = Patience(None, monotonic=clock)
    patience.reached()
    assert not patience.exhausted(lost())
    clock.now_s = 1e9
    assert not patience.exhausted(lost())


@pytest.mark.parametrize(
    "reason",
    [
        LossReason.UNAUTHORIZED,
        LossReason.FORBIDDEN,
        LossReason.UNTRUSTED_CERTIFICATE,
        LossReason.VERSION,
    ],
)
def test_what_waiting_cannot_mend_ends_it_at_once(reason: LossReason) -> None:
    patience = Patience(None, monotonic=Hand())
    patience.reached()
    assert patience.exhausted(lost(None, reason))
