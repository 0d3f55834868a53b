"""Pages that open from the disk: one script of our own runs in them, and nothing is fetched."""

from __future__ import annotations

import base64
import hashlib


def only_script(code: str) -> tuple[str, str]:
    """(a meta element with the policy, the text for between the script's tags): by its hash this script runs and no
    other, whatever a text might have brought into the page."""
    inner = "\n" + code.replace("</", "<\\/") + "\n"
    digest = base64.b64encode(hashlib.sha256(inner.encode("utf-8")).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">', inner
