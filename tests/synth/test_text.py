"""Words, their lists, and the script that a label names."""

from __future__ import annotations

import pytest

from craft.synth.text import LANGUAGES, script_label, word_list


def test_script_labels_follow_the_letters():
    assert script_label("Caf\u00e9", "Latin") == "Latin"
    assert script_label("12:30", "Korean") == "Latin"
    assert script_label("\u4e2d\u56fd", "Chinese") == "Chinese"
    assert script_label("\u4e2dA", "Chinese") == "Mixed"
    assert script_label("!?", "Arabic") == "Symbols"


def test_every_word_list_has_words_of_its_own_script():
    for languages in LANGUAGES.values():
        assert abs(sum(share for _, share in languages) - 1) < 1e-9
        for language, _ in languages:
            words = word_list(language)
            assert len(words) >= 800
            assert len(set(words)) == len(words)
    with pytest.raises(ValueError, match="no word list for language 'xx'"):
        word_list("xx")
