"""Topic: what a text is about, by default which package of Python's library a docstring is of."""

from __future__ import annotations

from typing import ClassVar

from nbllm.tasks.classification import OWN, Classification


class Topic(Classification):
    """One topic of as many as the data has; over real text, with the settings for data of the user's."""

    summary = "says what a text is about"
    table = "python-topics"
    preset: ClassVar = OWN
    main = "macro_f1"
    examples = (
        "Return the value of the element's attribute, or the default where it has none.",
        "Wait until all tasks of the event loop are done.",
        "Send a request to the server and read the status line of the response.",
    )
