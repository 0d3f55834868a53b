"""Attention maps as one page that needs nothing else: no server, no network, no kernel.

The explorer of a notebook, with its weights packed into the page. A small object stands in for the kernel's side of it.
"""

from __future__ import annotations

import base64
import gzip
import json
from html import escape
from typing import Any

from nbllm.dashboards import explorer
from nbllm.dashboards.explorer_still import summary
from nbllm.dashboards.offline import only_script
from nbllm.dashboards.tables import table
from nbllm.errors import ModelError

_TRAITS = ("title", "sources", "frames", "measures", "progress", "view")
_SCRIPT = """{
const traits = JSON.parse(document.getElementById("traits").textContent);
const packed = Uint8Array.from(atob(document.getElementById("maps").textContent.trim()), (c) => c.charCodeAt(0));
const unpacked = new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")));
traits.maps = new DataView(await unpacked.arrayBuffer());
const model = {
  get: (name) => traits[name], set: (name, value) => { traits[name] = value; },
  save_changes() {}, on() {}, off() {}, send() {},
};
nbllmWidget.render({ model, el: document.getElementById("explorer") });
}"""


def page(maps: Any) -> str:
    """An HTML page with the explorer, and a table of the heads. ModelError where the maps are too many for a page."""
    made = explorer.explore(maps)
    widget = made.widget()
    try:
        if not all(widget.fits(source) for source in made.sources):
            raise ModelError(
                f"{maps!r} are too many weights for one page.", "Save a layer or a head of them: layer=0, head=0."
            )
        traits = {name: getattr(widget, name) for name in _TRAITS}
        weights, module, css = widget.maps, str(widget._esm), str(widget._css)
    finally:
        widget.close()
    packed = base64.b64encode(gzip.compress(weights, 6, mtime=0)).decode("ascii")
    told = table(summary(made.sources[0]), "Each head: its kind, and the pairs it joins most", across=True)
    policy, inner = only_script(module.replace("export default", "const nbllmWidget =") + "\n" + _SCRIPT)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"{policy}"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(traits['title'])}</title><style>body {{ margin: 16px; font-family: system-ui, sans-serif; "
        f"background: #fff; color: #24292f; }}\n{css}</style></head><body>"
        f'<main id="explorer"><noscript>{escape(repr(maps))}: the pictures need JavaScript.</noscript></main>'
        f"<details><summary>What each head looks at</summary>{told}</details>"
        f'<script type="application/json" id="traits">{_inert(json.dumps(traits))}</script>'
        f'<script type="text/plain" id="maps">{packed}</script>'
        f'<script type="module">{inner}</script></body></html>\n'
    )


def _inert(data: str) -> str:
    """JSON that cannot end its script element, whatever the tokens hold."""
    return data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
