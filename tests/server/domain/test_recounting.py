"""What a recount finds equal, and what it finds wrong, however large the numbers are."""

from runwatch_server.recounting import Recount
from runwatch_server.rows import UsageRow
from tests.storage.making import NOW_US, a_run


def counted(tokens: int, cost_usd: float | None = None) -> Recount:
    recount = Recount()
    usage = UsageRow(as_of_us=NOW_US, input_tokens=tokens, cost_usd=cost_usd)
    recount.run(a_run(1, usage=usage))
    return recount


def wrong(recount: Recount, *, whole: bool = True, **other: float) -> list[str]:
    kept = dict(recount.counts)
    kept.update({name.replace("__", ":"): value for name, value in other.items()})
    return list(recount.counters_wrong(kept, whole=whole))


def test_of_many_tokens_one_too_many_is_found() -> None:
    recount = counted(10**15)
    assert wrong(recount) == []
    assert wrong(recount, tokens__input__command=10**15 + 1) == [
        "counter tokens:input:command is 1000000000000001, a recount gives 1000000000000000"
    ]


def test_costs_may_differ_by_the_order_they_were_added_in() -> None:
    recount = counted(5, 0.1 + 0.2)
    assert wrong(recount, cost_usd__command=0.3) == []
    assert len(wrong(recount, cost_usd__command=0.31)) == 1


def test_what_happened_to_runs_that_are_gone_is_more_than_a_recount_and_never_less() -> None:
    recount = counted(5)
    assert len(wrong(recount, tokens__input__command=9)) == 1
    assert wrong(recount, whole=False, tokens__input__command=9) == []
    assert len(wrong(recount, whole=False, tokens__input__command=4)) == 1


def test_what_is_there_is_equal_whatever_was_deleted() -> None:
    assert len(wrong(counted(5), whole=False, run__status__queued=2)) == 1
