"""Write the project's address where people click it: `python binder/badges.py`.

The address is one setting, `Repository` of [project.urls] in pyproject.toml. From it come the badges between the lines
`<!-- badges -->` and `<!-- end -->` of a page, and the address in CITATION.cff. The branch of the links is main.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
FIRST = "notebooks/01-first-model.ipynb"
STUDIO = "notebooks/studio.ipynb"
_BADGES = re.compile(r"<!-- badges -->\n.*?<!-- end -->", re.S)
_ADDRESS = re.compile(r"^repository-code: .*$", re.M)


def address() -> str:
    """The repository's address, https://HOST/OWNER/NAME."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Repository"]).rstrip("/")


def links(repository: str) -> dict[str, str]:
    """Where each badge leads: notebook 1 in JupyterLab on a Binder, the studio there as an application, notebook 1 on
    Colab."""
    slug = urlsplit(repository).path.strip("/")
    binder = f"https://mybinder.org/v2/gh/{slug}/main"
    return {
        "binder": f"{binder}?labpath={quote(FIRST, safe='')}",
        "studio": f"{binder}?urlpath={quote(f'voila/render/{STUDIO}', safe='')}",
        "colab": f"https://colab.research.google.com/github/{slug}/blob/main/{FIRST}",
    }


def badges(repository: str) -> str:
    """The badges as Markdown, with their marks."""
    to = links(repository)
    return "\n".join(
        [
            "<!-- badges -->",
            f"[![Open notebook 1 on Binder](https://mybinder.org/badge_logo.svg)]({to['binder']})",
            f"[![Open notebook 1 on Colab](https://colab.research.google.com/assets/colab-badge.svg)]({to['colab']})",
            f"[The studio as an application, on Binder]({to['studio']})",
            "<!-- end -->",
        ]
    )


def rewrite(page: str, repository: str) -> str:
    """A page with its badges written anew; one without their marks stays as it is."""
    return _BADGES.sub(lambda _: badges(repository), page)


def cite(citation: str, repository: str) -> str:
    """CITATION.cff with the address in it."""
    return _ADDRESS.sub(lambda _: f'repository-code: "{repository}"', citation)


def main() -> None:
    """Write README.md and CITATION.cff where they say something else."""
    for name, change in (("README.md", rewrite), ("CITATION.cff", cite)):
        file = ROOT / name
        before = file.read_text(encoding="utf-8")
        after = change(before, address())
        if after != before:
            file.write_text(after, encoding="utf-8")
            print(f"{name}: written")


if __name__ == "__main__":
    main()
