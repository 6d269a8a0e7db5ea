"""The random choices of a row: the same for the same text, and uniform."""

from collections import Counter
from itertools import permutations

from datagen.pipeline.rng import Dice

PINNED = ("ghadfecb", "x", 796815)


def test_the_same_text_gives_the_same_choices_and_another_gives_others() -> None:
    def choices(text: str) -> list[int]:
        dice = Dice(text)
        return [dice.below(1000) for _ in range(10)]

    assert choices("2024|best_match|us/1") == choices("2024|best_match|us/1")
    assert choices("2024|best_match|us/1") != choices("2024|best_match|us/2")


def test_choices_stay_as_they_are_between_versions() -> None:
    dice = Dice("pinned")
    items = list("abcdefgh")
    dice.shuffle(items)
    assert ("".join(items), dice.choice("xyz"), dice.below(10**6)) == PINNED


def test_every_order_is_as_likely() -> None:
    rounds = 24_000
    seen: Counter[tuple[int, ...]] = Counter()
    for number in range(rounds):
        items = [0, 1, 2, 3]
        Dice(f"row {number}").shuffle(items)
        seen[tuple(items)] += 1
    expected = rounds / 24
    squared = sum((seen[order] - expected) ** 2 / expected for order in permutations(range(4)))
    assert squared < 49.7  # chi-squared, 23 degrees of freedom: 1 in 1,000 is above


def test_twenty_candidates_leave_enough_chance_for_a_wording() -> None:
    seen: Counter[int] = Counter()
    for number in range(3000):
        dice = Dice(f"row {number}")
        dice.shuffle(list(range(20)))
        seen[dice.below(3)] += 1
    assert all(900 < count < 1100 for count in seen.values())
