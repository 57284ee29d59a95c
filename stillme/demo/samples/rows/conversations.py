"""Chat answers, which the old application stored twice: as a learning session and as a score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from stillme.demo.samples.clock import Ticks
from stillme.demo.samples.rows.texts import Dice


@dataclass(frozen=True)
class Conversation:
    """One question and what the model said to it."""

    moment: datetime
    question: str
    answer: str
    expected: str | None
    method: str
    score: float


METHODS = (
    *("semantic_similarity",) * 8,
    "keyword_match",
    "length_appropriateness",
    "unknown_method",
)


def conversations(rows: int, seed: int, pathologies: bool) -> Iterator[Conversation]:
    """The same answers for both files, whichever of them is made."""
    dice = Dice(seed, "conversations", offset_minutes=0, pathologies=pathologies)
    ticks = Ticks(dice.rng, rows)
    for number in range(rows):
        question = dice.escaped(dice.phrase() + "?")
        expected = _expected(dice, question)
        yield Conversation(
            moment=ticks.next(),
            question=question,
            answer=_answer(number, dice),
            expected=expected,
            method=dice.rng.choice(METHODS),
            score=dice.ratio() if expected else 0.5,
        )


def _expected(dice: Dice, question: str) -> str | None:
    """Never given by the running application; tests and notebooks gave one now and then."""
    if dice.rng.random() < 0.85:
        return None
    return dice.rng.choice(("", question, dice.phrase()))


def _answer(number: int, dice: Dice) -> str:
    """A model's answer: unescaped, sometimes with code, NUL, control characters, or very long."""
    text = dice.prose()
    if number % 7 == 2:
        text += "\n```python\nprint('x')\n```"
    if number % 7 == 4:
        text += " [1] [2]"
    if dice.pathologies and number % 100 == 21:
        text = f"{text} kh\0ông\x01\x0b có"
    if dice.pathologies and number % 200 == 33:
        text = (text + "\r\n") * (320_000 // (len(text) + 2))
    return text
