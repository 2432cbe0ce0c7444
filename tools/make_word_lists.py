"""Make the word lists of craft/synth/word_lists from the package wordfreq, which is needed only for that.

    pip install wordfreq jieba mecab-python3 ipadic
    python tools/make_word_lists.py

The lists hold the most frequent words of a language that are written in its own script, most frequent first.
wordfreq's data is under CC BY-SA 4.0 (Robyn Speer, wordfreq 3.1.1, 2022); so are the lists: see word_lists/README.md.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import regex

# Language code: (how many words, what a word looks like).
LISTS: dict[str, tuple[int, str]] = {
    "en": (4000, r"[a-z]{2,12}"),
    "fr": (1500, r"\p{Latin}{2,12}"),
    "de": (1500, r"\p{Latin}{2,12}"),
    "it": (1500, r"\p{Latin}{2,12}"),
    "es": (1500, r"\p{Latin}{2,12}"),
    "pl": (800, r"\p{Latin}{2,12}"),
    "tr": (800, r"\p{Latin}{2,12}"),
    "zh": (3000, r"\p{Han}{1,5}"),
    "ja": (3000, r"[\p{Han}\p{Hiragana}\p{Katakana}ー]{2,7}"),
    "ko": (3000, r"\p{Hangul}{1,6}"),
    "ar": (3000, r"\p{Arabic}{2,10}"),
    "bn": (3000, r"[\p{Bengali}]{2,12}"),
    "hi": (2000, r"[\p{Devanagari}]{2,12}"),
    "ru": (2000, r"\p{Cyrillic}{2,12}"),
    "el": (1000, r"\p{Greek}{2,12}"),
}

# Words that do not belong on a sign.
UNWANTED = regex.compile(
    r"f+u+c?k|shit|bitch|nigg|cunt|porn|rape|\bsex|fag|whore|slut|\bkill|penis|nazi|hitler|arsch|schei[sß]|\bfick|\bhure"
    r"|merde|\bputa|salope|cazzo|\bmerda|puttan|\btroia|stronz|joder|mierda|cojon|kurw|\bchuj|\borospu"
    r"|लंड|चूत|गांड|गाँड|भोस|चोद|चुद|रंडी|रेप|बलात्कार|सेक्स"
    r"|\u0445\u0443[\u0439\u0435\u0451]|\u043f\u0438\u0437\u0434|\u0435\u0431\u0430|\u0431\u043b\u044f\b|\u0441\u0443\u043a\u0430\b|\u0436\u043e\u043f|\u0441\u0435\u043a\u0441|\u043f\u043e\u0440\u043d"
    r"|操|妈的|他妈|傻逼|屄|肏|色情|性交|セックス|ちんこ|まんこ|クソ|エロ|씨발|시발|섹스|좆|병신|야동|شرموط|سكس|نيك"
    r"|চুদ|মাগি|সেক্স|ধর্ষণ|πορν|σεξ|γαμ|μαλάκ"
)


def make_list(language: str) -> list[str]:
    """Return the most frequent words of a language in `LISTS`, most frequent first."""
    wordfreq = importlib.import_module("wordfreq")
    count, pattern = LISTS[language]
    found = (
        word
        for word in wordfreq.top_n_list(language, count * 8)
        if regex.fullmatch(pattern, word) and not UNWANTED.search(word)
    )
    return list(dict.fromkeys(found))[:count]


def main() -> None:
    """Write every list into word_lists/, one word a line."""
    folder = Path(__file__).parents[1] / "craft" / "synth" / "word_lists"
    for language in LISTS:
        words = make_list(language)
        (folder / f"{language}.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        print(f"{language}: {len(words)} words")


if __name__ == "__main__":
    main()
