"""Krippendorff's alpha of nominal answers: 1 where raters agree in all, 0 where they agree no more than by chance.

Units are what is answered about, coders the raters; any answer may be missing. With oₖₗ the coincidences of answers
k and l within units (every pair of answers of a unit of m counts 1 / (m - 1)) and nₖ their margins,
α = 1 - (n - 1) Σ_{k≠l} oₖₗ / Σ_{k≠l} nₖ nₗ (Krippendorff, Content analysis, chapter 11).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable


def measure_alpha(answers: Iterable[tuple[Hashable, Hashable]]) -> float | None:
    """Krippendorff's alpha.

    Args:
        answers: The unit and the answer, one pair per answer; at most one of a rater for a unit.

    Returns:
        Alpha, at most 1; None where no unit has two answers, or all answers are the same.
    """
    units: dict[Hashable, Counter[Hashable]] = defaultdict(Counter)
    for unit, answer in answers:
        units[unit][answer] += 1
    margins: Counter[Hashable] = Counter()
    disagreements = 0.0
    for counted in units.values():
        size = counted.total()
        if size < 2:
            continue
        margins.update(counted)
        disagreements += (size**2 - sum(count**2 for count in counted.values())) / (size - 1)
    total = margins.total()
    expected = total**2 - sum(count**2 for count in margins.values())
    return 1 - (total - 1) * disagreements / expected if expected else None
