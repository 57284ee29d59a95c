"""How an answer is scored: pure functions of texts, each from 0 to 1."""

from __future__ import annotations

NEUTRAL = 0.5
STOP_WORDS = frozenset(
    ["the", "a", "an", "and", "or", "but", "in", "on", "at", "to", "for", "of", "with", "by"]
)
SHORTEST_KEYWORD = 4


def score_answer(*, method: str, question: str, answer: str, expected: str | None) -> float:
    """The score by a method; neutral where the method is unknown or has nothing to compare.

    Of what is no text the old code's score: none in common, no opinion on the length.
    """
    try:
        if method == "semantic_similarity" and expected:
            return word_overlap(answer, expected)
        if method == "keyword_match":
            return keyword_overlap(answer, expected or question)
        if method == "length_appropriateness":
            return length_fit(answer, question)
    except AttributeError:
        return NEUTRAL if method == "length_appropriateness" else 0.0
    return NEUTRAL


def word_overlap(first: str, second: str) -> float:
    """Jaccard similarity of the lower-cased words; 0 where either text has none."""
    left, right = set(first.lower().split()), set(second.lower().split())
    if not left or not right:
        return 0.0
    return len(left & right) / len(left | right)


def keyword_overlap(first: str, second: str) -> float:
    """Shared keywords over the larger number of keywords; 0 where either text has none."""
    left, right = _keywords(first), _keywords(second)
    if not left or not right:
        return 0.0
    return len(left & right) / max(len(left), len(right))


def _keywords(text: str) -> set[str]:
    # The length is measured before lower-casing, which can change it for some letters.
    words = {word.lower() for word in text.split() if len(word) >= SHORTEST_KEYWORD}
    return words - STOP_WORDS


def length_fit(answer: str, question: str) -> float:
    """1 where the answer has 1.5 to 3 times the words of the question, less outside."""
    words, asked = len(answer.split()), len(question.split())
    shortest, longest = asked * 1.5, asked * 3.0
    if words < shortest:
        return words / shortest * 0.8
    if words <= longest:
        return 1.0
    if not asked:
        return NEUTRAL
    return max(0.5, 1.0 - min((words - longest) / longest, 0.5))
