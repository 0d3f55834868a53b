"""A widget that works beside the page: what the page wishes for is done in a thread of its own, while the notebook
stays free. One wish is done at a time, and a new one takes the place of what is being done."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import traitlets

from nbllm.dashboards.front import Front
from nbllm.errors import NbllmError
from nbllm.plots.maps import visible_text

_SAID = 300  # characters of what a library says against a model


class Working(Front):
    """A subclass says what the page may wish for (`_wishes`, kinds of messages) and does it in `_grant`, which looks at
    `_stopped` as often as it can. `busy` tells the page what is going on, `fault` what went wrong."""

    _wishes: ClassVar[tuple[str, ...]]

    busy = traitlets.Unicode().tag(sync=True)
    fault = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any):
        self._guard = threading.Condition()
        self._wish: dict[str, Any] | None = None
        self._worker: threading.Thread | None = None
        self._stopped = self._gone = False
        super().__init__(**traits)
        self.on_msg(self._hear)

    def close(self) -> None:
        """Take the widget out of the page; what is being done ends."""
        self._gone = self._stopped = True
        with self._guard:
            self._guard.notify_all()
        super().close()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether nothing is being done any more, after at most that many seconds."""
        with self._guard:
            return self._guard.wait_for(lambda: self._worker is None, timeout)

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """The page wishes for something, or for the end of what is being done."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "stop":
            self._stopped = True
        elif kind in self._wishes:
            self._ask(content)

    def _ask(self, wish: dict[str, Any]) -> None:
        """Have it done in the thread; what is being done makes room."""
        with self._guard:
            self._wish, self._stopped = wish, True
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name=f"nbllm-{type(self).__module__}", daemon=True)
                self._worker.start()

    def _grant(self, wish: dict[str, Any]) -> None:
        """Do what is wished for. An error becomes `fault`."""
        raise NotImplementedError

    def _idle(self) -> None:
        """Called when a wish is done, whether it went well or not."""

    def _work(self) -> None:
        while True:
            with self._guard:
                wish, self._wish = self._wish, None
                if wish is None or self._gone:
                    self._worker = None
                    self._guard.notify_all()
                    return
                self._stopped = False
            try:
                self._say(fault="")
                self._grant(wish)
            except Exception as error:  # a model of any origin may fail in any way, and the page must hear of it
                self._say(fault=fault_of(error))
            finally:
                self._say(busy="")
                self._idle()

    def _say(self, **traits: Any) -> None:
        """Set traits, unless the widget is closed."""
        if not self._gone:
            for name, value in traits.items():
                setattr(self, name, value)


def fault_of(error: Exception) -> str:
    """What the page says of an error: an NbllmError's own line, else its kind and the start of its words."""
    words = str(error) if isinstance(error, NbllmError) else f"{type(error).__name__}: {str(error)[:_SAID]}"
    return visible_text(words)
