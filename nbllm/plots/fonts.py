"""The letters of pictures that are drawn without a browser: text of any script, where the system has a font for it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

_FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts",
    "/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip
# Fonts that draw Chinese, best first, by the start of their file's name.
_CHINESE = (
    "NotoSansCJK-Regular", "NotoSansSC", "SourceHanSans", "PingFang", "msyh", "wqy-microhei", "wqy-zenhei",
    "Hiragino Sans GB", "STHeiti", "simhei", "simsun", "DroidSansFallback", "Arial Unicode", "unifont",
)  # fmt: skip


@lru_cache(maxsize=8)
def font(size: int) -> Any:
    """A font of that many pixels that draws Chinese where the system has one; else Pillow's own."""
    from PIL import ImageFont

    path = chinese_font()
    if path is not None:
        try:
            return ImageFont.truetype(str(path), size, index=2 if path.name.startswith("NotoSansCJK") else 0)
        except OSError:
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


@lru_cache(maxsize=1)
def chinese_font() -> Path | None:
    """The best font file for Chinese on this system, or None."""
    found: dict[str, Path] = {}
    for folder in (Path(name).expanduser() for name in _FOLDERS):
        if folder.is_dir():
            for path in folder.rglob("*"):
                if path.suffix.lower() in (".ttf", ".ttc", ".otf"):
                    found.setdefault(path.name.lower(), path)
    for start in _CHINESE:
        for name in sorted(found):
            if name.startswith(start.lower()):
                return found[name]
    return None


def clip(text: str, length: int) -> str:
    """The text, cut with an ellipsis where it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"
