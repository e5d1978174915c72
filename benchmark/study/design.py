"""Who sees what: incomplete blocks, balanced over pairs, sides and order, by seed.

A block is what one rater sees: the items that have the fewest votes, among these first the methods and subjects that
the rater has seen least, then by chance. So after any number of raters the votes of two items differ by one at most,
whoever gave up in between. Where the videos of an item stand alternates over the rows of a balanced square.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from dancebench.benchmark.study.records import Item, StudyRecord


class PlannedTrial(NamedTuple):
    """An item as one rater sees it; `order`: which of its clips stands first, second and so on."""

    item: str
    order: tuple[int, ...]


def list_orders(n: int) -> list[tuple[int, ...]]:
    """Orders of n things in which each stands in each place, and right after each other one, equally often.

    Williams' squares (1949): n orders of an even number, 2n of an odd one.
    """
    first = [at // 2 if at % 2 == 0 else n - 1 - at // 2 for at in range(n)]
    rows = [tuple((each + k) % n for each in first) for k in range(n)]
    return list(dict.fromkeys([*rows, *(row[::-1] for row in rows)])) if n % 2 else rows


def draw_order(item: Item, generator: np.random.Generator) -> tuple[int, ...]:
    """One of the orders, by chance."""
    orders = list_orders(len(item.clips))
    return orders[int(generator.integers(len(orders)))]


def plan_block(
    study: StudyRecord, number: int, votes: Mapping[str, int], shown: Mapping[str, int]
) -> list[PlannedTrial]:
    """The trials of a rater, checks among them, in order.

    Args:
        study: The study.
        number: How many raters enrolled before.
        votes: By item, votes given or under way.
        shown: By item, how often it was ever shown: its order alternates.
    """
    generator = np.random.default_rng([study.seed, number])
    chosen = _choose_balanced(study, votes, generator)
    trials = [PlannedTrial(item.id, _choose_order(study, item, shown)) for item in chosen]
    order = generator.permutation(len(trials))
    block = [trials[at] for at in order]
    for check in choose_checks(study, generator):
        place = int(generator.integers(1, len(block) + 1))  # never the first: it is the rater's practice
        block.insert(place, PlannedTrial(check.id, draw_order(check, generator)))
    return block


def choose_items(
    items: Iterable[Item], study: StudyRecord, count: int, votes: Mapping[str, int], generator: np.random.Generator
) -> list[Item]:
    """Up to `count` of the items, those with the fewest votes first."""
    left, clip_of = list(items), study.clip_of
    luck = {item.id: float(generator.random()) for item in left}
    seen: Counter[str] = Counter()
    chosen: list[Item] = []

    def list_contents(item: Item) -> tuple[str, str]:
        return "method " + _name_methods(study, item), "subject " + clip_of[item.clips[0]].subject

    def rank(item: Item) -> tuple[float, ...]:
        return votes.get(item.id, 0), *(seen[content] for content in list_contents(item)), luck[item.id]

    while left and len(chosen) < count:
        best = min(left, key=rank)
        left.remove(best)
        chosen.append(best)
        seen.update(list_contents(best))
    return chosen


def _choose_balanced(study: StudyRecord, votes: Mapping[str, int], generator: np.random.Generator) -> list[Item]:
    """A rater's items; of single videos half are real, as far as there are so many."""
    count = study.trials_per_rater
    if study.is_comparative:
        return choose_items(study.items, study, count, votes, generator)
    reals = [item for item in study.items if study.clip_of[item.clips[0]].method is None]
    fakes = [item for item in study.items if item not in reals]
    half = min(len(reals), count // 2)
    return [
        *choose_items(reals, study, half, votes, generator),
        *choose_items(fakes, study, count - half, votes, generator),
    ]


def choose_checks(study: StudyRecord, generator: np.random.Generator) -> list[Item]:
    """The rater's attention checks: both kinds in turn."""
    kinds = [[check for check in study.checks if check.kind == kind] for kind in ("instructed", "obvious")]
    pools = [pool for pool in kinds if pool]
    picked = []
    for k in range(study.checks_per_rater if pools else 0):
        pool = pools[k % len(pools)]
        unused = [check for check in pool if check not in picked] or pool
        picked.append(unused[int(generator.integers(len(unused)))])
    return picked


def _choose_order(study: StudyRecord, item: Item, shown: Mapping[str, int]) -> tuple[int, ...]:
    """The orders in turn, beginning by chance."""
    orders = list_orders(len(item.clips))
    start = int(np.random.default_rng([study.seed, study.items.index(item)]).integers(len(orders)))
    return orders[(start + shown.get(item.id, 0)) % len(orders)]


def _name_methods(study: StudyRecord, item: Item) -> str:
    clip_of = study.clip_of
    return " ".join(clip_of[clip].method or "real" for clip in item.clips)
