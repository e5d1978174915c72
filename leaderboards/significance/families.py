"""Many comparisons at once: p of each pair of rows in; adjusted p, and groups of rows that are not told apart, out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from string import ascii_lowercase


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p for the number of comparisons by Holm's step-down rule: the k-th smallest of m times m - k + 1.

    An adjusted p is at least that of every smaller p, and at most 1. Whichever of the null hypotheses are true, the
    chance that any of them has an adjusted p below a level is at most that level.
    """
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def assign_letters(rows: int, told_apart: Collection[tuple[int, int]]) -> list[str]:
    """Give each row letters (a compact letter display): two rows share a letter if and only if they are not told apart.

    Each letter is a largest group of rows none of which is told apart from another, so a row may have several, and not
    being told apart does not carry over from a to b to c. The letter `a` is of the group with the first row.

    Args:
        rows: Their number, in the order of the table.
        told_apart: Pairs of rows, either way round.

    References:
        Piepho, An algorithm for a letter-based representation of all-pairwise comparisons, Journal of Computational
        and Graphical Statistics 13 (2004).
    """
    groups: list[frozenset[int]] = [frozenset(range(rows))]
    for one, other in told_apart:
        parts = [group - {row} for group in groups if {one, other} <= group for row in (one, other)]
        kept = [group for group in groups if not {one, other} <= group]
        groups = _keep_largest([*kept, *parts])
    ordered = sorted(sorted(group) for group in groups)
    return [",".join(_name_letter(at) for at, group in enumerate(ordered) if row in group) for row in range(rows)]


def _keep_largest(groups: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """The groups that no other one contains, each once."""
    distinct = list(dict.fromkeys(groups))
    return [group for group in distinct if not any(group < other for other in distinct)]


def _name_letter(at: int) -> str:
    """Letters a to z, then a1 to z1, and so on."""
    rest, letter = divmod(at, len(ascii_lowercase))
    return ascii_lowercase[letter] + (str(rest) if rest else "")
