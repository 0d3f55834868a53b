"""In which language a text is: by its script, and where several languages share one by their commonest words.

Of each language the words that stand in nearly every paragraph are counted (function words, as in Grefenstette 1995,
"Comparing two language identification schemes"), and letters that only it has. What is short, or in a language of
which nothing is listed, is called by its script: "other Latin".
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

JUDGED = 20_000  # characters that a script is told by
READ = 2_000  # characters that are read for words
NO_LETTERS = "no letters"
_SCRIPTS = {
    "CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean", "LATIN": "Latin",
    "FULLWIDTH": "Latin", "HALFWIDTH": "Japanese", "IDEOGRAPHIC": "Chinese",
    "CYRILLIC": "Cyrillic", "ARABIC": "Arabic", "GREEK": "Greek", "HEBREW": "Hebrew", "DEVANAGARI": "Devanagari",
    "THAI": "Thai", "BENGALI": "Bengali", "TAMIL": "Tamil", "TELUGU": "Telugu", "GEORGIAN": "Georgian",
    "ARMENIAN": "Armenian",
}  # fmt: skip
_NO_SCRIPT = ("", "MODIFIER", "MATHEMATICAL", "MICRO", "FEMININE", "MASCULINE", "DOUBLE-STRUCK", "SCRIPT")
_KANA = 0.05  # share of the letters from which Chinese characters are Japanese
_LEAST = 0.1  # share of the words that are a language's commonest
_LETTER = 2  # a letter that only one language has counts as so many words
_WORDS = {
    "Latin": {
        "English": "the of and to in is that it for was on are as with be this by not have from or at which you they "
        "but an we can if will there all their what when he she his her has were been more would",
        "French": "le la les de des du et un une en est que qui dans pour pas sur au ce il elle par plus avec se sont "
        "je vous nous mais ou son ses cette ont aux être été comme leur sans",
        "German": "der die das und in zu den ist nicht von mit sich des auf für ein eine dem im es als auch an werden "
        "aus er hat dass sie nach wird bei einer um am sind noch wie einem über so wenn oder war ich",
        "Spanish": "el la los las de que y en un una es se no por con para su al lo como más pero sus le ya o este sí "
        "porque esta entre cuando muy sin sobre son del ha está era",
        "Italian": "il lo la i gli le di che e un una in è per non con si da del della dei sono al come più ma ha "
        "anche questo nel alla o se ci era loro delle nella",
        "Portuguese": "o a os as de que e em um uma do da não para com é por mais dos das se no na ao como mas foi ele "
        "ela são seu sua ou quando muito nos já está pelo pela",
        "Dutch": "de het een en van in is dat op te zijn met voor niet aan er om ook als maar bij uit door naar hij ze "
        "wordt of deze dit werd nog wel kan heeft",
        "Swedish": "och att det som en på är av för med den till inte har de ett om var men jag från vid när kan ska",
        "Polish": "i w na z się że nie do to jest o jak ale po od za co tak przez dla są był oraz może tylko",
        "Turkish": "ve bir bu da de için ile çok ne gibi daha ama o var değil olarak kadar sonra en",
        "Vietnamese": "và của là có không được cho một những trong các với người này khi đã để đến ở",
        "Indonesian": "yang dan di dengan untuk ini itu dari pada adalah tidak dalam akan ke ada oleh juga sebagai",
    },
    "Cyrillic": {
        "Russian": "и в не на что с как это по но из у за от так для был его она они к же мы вы бы",
        "Ukrainian": "і в не на що з як це та до але за від для є у його вона вони по ми ви б про",
    },
    "Arabic": {
        "Arabic": "من في على أن إلى هذا ما عن مع لا كان التي الذي هذه أو هو هي",
        "Persian": "از در به که این را با است و برای آن یک تا بود شد می",
    },
}
_LETTERS = {
    "German": "ß", "Spanish": "ñ¿¡", "Portuguese": "ãõ", "Swedish": "å", "Polish": "łąęśźżńć", "Turkish": "ğış",
    "Vietnamese": "đơưạảấầẩẫậắằẳẵặẹẻẽếềểễệịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ", "French": "œ", "Russian": "ыэё",
    "Ukrainian": "іїєґ", "Persian": "پچژگ",
}  # fmt: skip
# A single Latin letter may be a variable or a mark of a list in any language.
_SETS = {
    script: {
        name: frozenset(word for word in words.split() if len(word) > 1 or not word.isascii())
        for name, words in known.items()
    }
    for script, known in _WORDS.items()
}
_WORD = re.compile(r"[^\W\d_]+")


def script_of(text: str) -> str:
    """The script that most letters of the text are of; Chinese characters among kana are Japanese."""
    letters: Counter[str] = Counter()
    for character, count in Counter(text[:JUDGED]).items():
        if script := script_of_letter(character):
            letters[script] += count
    if not letters:
        return NO_LETTERS
    main = letters.most_common(1)[0][0]
    return "Japanese" if main == "Chinese" and letters["Japanese"] > _KANA * letters.total() else main


def language_of(text: str) -> str:
    """The language of the text; its script where that has but one here, or "other Latin" where none fits."""
    script = script_of(text)
    known = _SETS.get(script)
    if known is None:
        return script
    read = unicodedata.normalize("NFC", text[:READ]).lower()
    words = Counter(_WORD.findall(read))
    special = Counter(read)
    scores = {
        name: sum(count for word, count in words.items() if word in common)
        + _LETTER * sum(special[letter] for letter in _LETTERS.get(name, ""))
        for name, common in known.items()
    }
    (best, first), (_, second) = sorted(scores.items(), key=lambda each: -each[1])[:2]
    different = sum(word in known[best] for word in words) + sum(special[letter] for letter in _LETTERS.get(best, ""))
    if first > second and first >= _LEAST * words.total() and different > 1:
        return best
    return f"other {script}"


@lru_cache(maxsize=65_536)
def script_of_letter(character: str) -> str:
    """The script of one character; empty for what is no letter."""
    if not character.isalpha():
        return ""
    name = unicodedata.name(character, "").split(" ")[0]
    return "" if name in _NO_SCRIPT else _SCRIPTS.get(name, name.capitalize())
