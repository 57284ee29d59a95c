"""Words of several languages, joined into the kinds of text that the old application stored."""

from __future__ import annotations

import html
import random
from collections.abc import Sequence
from datetime import timedelta


def _words(text: str) -> list[str]:
    return text.split()


ENGLISH = _words(
    "learning memory evidence source transparency model question answer citation history ethics"
    " retrieval network language policy statistics open dataset philosophy evaluation"
)
VIETNAMESE = _words(
    "học hỏi trí tuệ nhân tạo máy dữ liệu kiến thức nguồn gốc minh bạch đạo đức lịch sử ngôn ngữ"
    " triết học được những nghiên cứu Việt Nam ệ"
)
JAPANESE = _words("人工知能 機械学習 データ モデル 研究 透明性 知識 質問 カタカナ ふしぎ")
CHINESE = _words("人工智能 机器学习 数据 模型 研究 透明度 知识 问题 历史 伦理")
ARABIC = _words("الذكاء الاصطناعي تعلم الآلة البيانات البحث المعرفة الشفافية")
RUSSIAN = _words("обучение знание данные модель исследование прозрачность история вопрос")
EMOJI = _words("🤖 🧠 ✅ 👍🏽 👩‍🔬 🏳️‍🌈 🇻🇳 𝔘𝔫𝔦 e\u0301 naïve")
LANGUAGES: tuple[Sequence[str], ...] = (
    ENGLISH,
    ENGLISH,
    VIETNAMESE,
    VIETNAMESE,
    JAPANESE,
    CHINESE,
    ARABIC,
    RUSSIAN,
)


class Dice:
    """One table's source of chance and text: the same seed gives the same rows every time."""

    def __init__(self, seed: int, table: str, *, offset_minutes: int, pathologies: bool) -> None:
        self.rng = random.Random(f"{seed}:{table}")  # noqa: S311 - samples, not secrets
        self.offset = timedelta(minutes=offset_minutes)
        self.pathologies = pathologies

    def phrase(self, least: int = 3, most: int = 12) -> str:
        """Some words of one language, now and then with an emoji among them."""
        words = self.rng.choices(self.rng.choice(LANGUAGES), k=self.rng.randint(least, most))
        if self.rng.random() < 0.15:
            words.insert(self.rng.randrange(len(words)), self.rng.choice(EMOJI))
        return " ".join(words)

    def prose(self, most_sentences: int = 6) -> str:
        """Several phrases in several languages."""
        return ". ".join(self.phrase() for _ in range(self.rng.randint(1, most_sentences)))

    def escaped(self, text: str) -> str:
        """What the learning endpoint did to every string it received."""
        return html.escape(text)

    def markup(self) -> str:
        """A feed's summary: HTML, which nobody escaped or removed."""
        parts = [f"<p>{self.prose(3)}</p>" for _ in range(self.rng.randint(1, 3))]
        parts.append(f'<a href="https://example.org/?a=1&amp;b={self.rng.randrange(99)}">↗</a>')
        return "\n".join(parts)

    def hex_id(self, length: int) -> str:
        """A random identifier such as uuid4 prefixes and content digests."""
        return f"{self.rng.getrandbits(4 * length):0{length}x}"

    def ratio(self) -> float:
        """A score as it comes out of counting words: full float precision."""
        whole = self.rng.randint(1, 40)
        return self.rng.randint(0, whole) / whole

    def one_in(self, number: int) -> bool:
        """True about once in `number` rows."""
        return self.rng.randrange(number) == 0
