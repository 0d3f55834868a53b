"""Commands that look inside a model: each is the method of that name of a Model, asked about a text."""

from __future__ import annotations

from nbllm.magics.command import Command, Flag

TABLE: tuple[Command, ...] = (
    Command(
        "predictions",
        "[RUN] [TEXT...]",
        "Show what a model expected at each place of a text: the more surprising a token, the stronger its shade.",
        (
            '%llm_predictions shakespeare "To be, or not to be"',
            '%llm_predictions last "The value of the " --layers',
            "%%llm_predictions shakespeare\nTo be, or not to be, that is the question.",
            '%llm_predictions dates "14 juillet 2026" --source "July 14, 2026"',
        ),
        flags=(
            Flag("--top", "N", "alternatives to keep at each place [10]", "int"),
            Flag("--layers", "", "show what each layer would say, too (the logit lens)", "bool"),
            Flag("--source", "TEXT", "of an encoder-decoder: the text that is answered"),
            Flag("--step", "N", "the checkpoint of this step; the latest where not given", "int"),
        ),
        cell="the text",
        notes="RUN is a run's name, or last. It gives back .frame(), .alternatives, .bits_per_byte and .figure().",
    ),
    Command(
        "influence",
        "[RUN] [TEXT...]",
        "Show which token of a text moved which answer of a model, of any kind, as a heatmap.",
        (
            '%llm_influence shakespeare "To be, or not to be"',
            '%llm_influence topics "Parse the header of a message." --method occlusion',
            "%%llm_influence last --method integrated\nTo be, or not to be, that is the question.",
        ),
        flags=(
            Flag("--method", "NAME", "how it is measured [gradient]", choices=("gradient", "integrated", "occlusion")),
            Flag("--target", "TEXT", "the token or label to explain; of an encoder-decoder the whole answer"),
            Flag("--pair", "TEXT", "of a classifier of pairs: the second text"),
            Flag("--baseline", "NAME", "what is neutral: mean (of all embeddings), zero, or the text of one token"),
            Flag("--steps", "N", "points of integrated gradients [64]", "int"),
            Flag("--step", "N", "the checkpoint of this step; the latest where not given", "int"),
        ),
        cell="the text",
        notes="RUN is a run's name, or last. It gives back .values (bits), .frame(), .strongest() and .figure().",
    ),
)
