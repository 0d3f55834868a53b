"""Words by which a corpus speaks of women and men, in English and Chinese: what `balance` counts where nothing else is
said. They are the common ones and not all; bring your own for other groups."""

from __future__ import annotations

import re

GROUP_WORDS: dict[str, tuple[str, ...]] = {
    "women": (
        "she", "her", "hers", "herself", "woman", "women", "girl", "girls", "lady", "ladies", "mother", "mothers",
        "daughter", "daughters", "sister", "sisters", "wife", "wives", "aunt", "grandmother", "queen", "mrs", "ms",
        "她", "她们", "女人", "女性", "女士", "女孩", "女生", "妇女", "妈妈", "母亲", "女儿", "姐姐", "妹妹", "妻子",
        "奶奶", "阿姨",
    ),
    "men": (
        "he", "him", "his", "himself", "man", "men", "boy", "boys", "gentleman", "gentlemen", "father", "fathers",
        "son", "sons", "brother", "brothers", "husband", "husbands", "uncle", "grandfather", "king", "mr", "sir",
        "他", "男人", "男性", "先生", "男孩", "男生", "爸爸", "父亲", "儿子", "哥哥", "弟弟", "丈夫", "爷爷", "叔叔",
    ),
}  # fmt: skip

HIDING = re.compile("其他|其它|吉他|他们")
"""Words that hold the character for "he" and do not speak of a man; "they" is of everybody."""
