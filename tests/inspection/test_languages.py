"""Languages are told by script, common words and letters; what cannot be told is called so."""

import pytest

from nbllm.inspection.languages import language_of, script_of


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("hello 你", "Latin"), ("你好 a", "Chinese"), ("これは日本語です", "Japanese"), ("한국어", "Korean"),
        ("Привет", "Cyrillic"), ("مرحبا", "Arabic"), ("12 + 3", "no letters"), ("ｈｅｌｌｏ", "Latin"),
        ("ខ្មែរ", "Khmer"),
    ],
)  # fmt: skip
def test_scripts(text, script):
    assert script_of(text) == script


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The bridge was built before the war, and it has been closed since.", "English"),
        ("Le pont a été construit avant la guerre, et il est fermé depuis.", "French"),
        ("Die Brücke wurde vor dem Krieg gebaut und ist seitdem geschlossen.", "German"),
        ("El puente fue construido antes de la guerra y está cerrado desde entonces.", "Spanish"),
        ("Il ponte è stato costruito prima della guerra ed è chiuso da allora.", "Italian"),
        ("A ponte foi construída antes da guerra e está fechada desde então.", "Portuguese"),
        ("De brug is voor de oorlog gebouwd en is sindsdien gesloten.", "Dutch"),
        ("Bron byggdes före kriget och har varit stängd sedan dess.", "Swedish"),
        ("Most został zbudowany przed wojną i od tego czasu jest zamknięty.", "Polish"),
        ("Köprü savaştan önce yapıldı ve o günden beri kapalı.", "Turkish"),
        ("Cây cầu được xây trước chiến tranh và đã bị đóng từ đó.", "Vietnamese"),
        ("Jembatan itu dibangun sebelum perang dan ditutup sejak saat itu.", "Indonesian"),
        ("Мост был построен до войны, и с тех пор он закрыт.", "Russian"),
        ("Міст збудували до війни, і з того часу він закритий.", "Ukrainian"),
        ("بني الجسر قبل الحرب وهو مغلق من ذلك الوقت إلى اليوم", "Arabic"),
        ("این پل را پیش از جنگ ساختند و از آن زمان بسته است", "Persian"),
        ("这座桥是战前建的，后来就关闭了。", "Chinese"), ("橋は戦争の前に建てられた。", "Japanese"),
        ("다리는 전쟁 전에 지어졌다.", "Korean"), ("Γεια σου", "Greek"),
        ("xyz qwv 12", "other Latin"), ("", "no letters"),
        ("a, e = o, i", "other Latin"), ("as e", "other Latin"),
    ],
)  # fmt: skip
def test_languages(text, language):
    assert language_of(text) == language
