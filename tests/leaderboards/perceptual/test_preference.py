"""Preference: the papers' printed percentages come out of votes that are made from them, rounding included."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from dancebench.leaderboards.perceptual.intervals import Share
from dancebench.leaderboards.perceptual.preference import compare_pairs, estimate_chosen, format_percent
from dancebench.leaderboards.perceptual.votes import Vote
from dancebench.leaderboards.reference import load_reference

EDN = {"edn-table-1", "edn-table-2", "edn-table-3b", "edn-table-4"}
TABLES = {table.id: table for table in load_reference().tables if table.kind == "perceptual"}
ROWS = [(table, row.name, row.values) for name, table in TABLES.items() if name in EDN for row in table.rows]


def round_percent(hits: int, n: int, digits: int) -> Decimal:
    return Decimal(format_percent(Share(hits / n, None, None, n), digits))


def count_digits(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def invent_counts(printed: list[Decimal]) -> list[tuple[int, int]]:
    """Hits and answers per subject whose shares, and whose pooled share, are those printed."""
    *subjects, total = printed
    generator = np.random.default_rng(0)
    for _ in range(200_000):
        sizes = (40 + 1000 * generator.random(len(subjects)) ** 4).astype(int).tolist()  # few subjects with most
        counts = [(round(float(value) * n / 100), n) for value, n in zip(subjects, sizes, strict=True)]
        pooled = sum(hits for hits, _ in counts), sum(sizes)
        if round_percent(*pooled, count_digits(total)) == total and all(
            round_percent(*count, count_digits(value)) == value for count, value in zip(counts, subjects, strict=True)
        ):
            return counts
    raise AssertionError(f"no votes give {printed}")


def test_every_table_of_preference_is_tried() -> None:
    assert TABLES.keys() >= EDN
    assert len(ROWS) == 7


@pytest.mark.parametrize(("table", "name", "printed"), ROWS, ids=lambda value: getattr(value, "id", str(value)[:20]))
def test_edn_s_percentages_come_out_of_votes(table: object, name: str, printed: list[Decimal]) -> None:
    votes = [
        Vote(
            rater=f"r{k % 25}", subject=f"subject {subject}", source="own", question="realistic",
            options=("full", "other") if k % 2 else ("other", "full"), choice="full" if k < hits else "other",
        )
        for subject, (hits, n) in enumerate(invent_counts(printed), start=1)
        for k in range(n)
    ]  # fmt: skip
    [pair] = compare_pairs(votes)
    shares = [*pair.per_subject.values(), pair.total]
    assert (pair.method, pair.other) == ("full", "other")
    assert [
        Decimal(format_percent(share, count_digits(value))) for share, value in zip(shares, printed, strict=True)
    ] == printed
    assert pair.holm_p == pair.total.p


def test_ddg_s_percentages_come_out_of_381_votes() -> None:
    table = TABLES["ddg-table-4"]
    methods = tuple(column.name for column in table.columns)
    for row in table.rows:
        counts = [round(float(value) * 381 / 100) for value in row.values]
        assert sum(counts) == 381
        votes = [
            Vote(rater=f"r{k % 20}", subject=f"s{k % 8}", source="x", question=row.name, options=methods, choice=method)
            for method, count in zip(methods, counts, strict=True)
            for k in range(count)
        ]
        shares = [format_percent(estimate_chosen(votes, method), 2) for method in methods]
        assert [Decimal(share) for share in shares] == row.values
        counted = dict(zip(methods, counts, strict=True))
        pairs = compare_pairs(votes)
        assert len(pairs) == 6
        for pair in pairs:
            both = counted[pair.method] + counted[pair.other]
            assert (pair.total.value, pair.total.n) == (pytest.approx(counted[pair.method] / both), both)


def test_closed_form_halves_are_rounded_up_and_ties_are_halves() -> None:
    assert format_percent(Share(1 / 8, None, None, 8), 0) == "13"
    assert format_percent(Share(5 / 8, None, None, 8), 0) == "63"
    assert format_percent(Share(0.0, None, None, 3)) == "0.0"
    assert format_percent(Share(2.5 / 4, None, None, 4)) == "62.5"
    votes = [
        Vote(rater="r", subject="s", source="s", question="q", options=("b", "a"), choice=choice)
        for choice in ("a", "a", None, "b")
    ]
    [pair] = compare_pairs(votes)
    assert (pair.method, pair.total.value, pair.total.n) == ("a", 2.5 / 4, 4)
    assert (pair.total.interval, pair.holm_p) == (None, None)


def test_p_is_adjusted_over_all_pairs() -> None:
    generator = np.random.default_rng(0)
    votes = [
        Vote(rater=f"r{k % 30}", subject=f"s{k % 7}", source="x", question="q", options=pair, choice=choice)
        for pair, share in ((("a", "b"), 0.9), (("a", "c"), 0.6), (("b", "c"), 0.5))
        for k in range(420)
        for choice in [pair[0] if generator.random() < share else pair[1]]
    ]
    found = {(pair.method, pair.other): pair for pair in compare_pairs(votes)}
    assert found["a", "b"].total.p is not None
    assert found["a", "b"].holm_p == pytest.approx(3 * found["a", "b"].total.p)
    assert found["b", "c"].holm_p is not None
    assert found["b", "c"].holm_p >= (found["b", "c"].total.p or 0)
