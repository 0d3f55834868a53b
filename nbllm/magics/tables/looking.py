"""Commands that look inside a model: each is the method of that name of a Model, asked about a text."""

from __future__ import annotations

from nbllm.magics.command import Command, Flag
from nbllm.magics.tables.common import STEP

TABLE: tuple[Command, ...] = (
    Command(
        "attention",
        "[RUN] [TEXT...]",
        "Show what each token of a text looked at: every head as a heatmap, lines and measures, step by step without a "
        "text.",
        (
            '%llm_attention shakespeare "To be, or not to be"',
            "%llm_attention last",
            '%llm_attention shakespeare "To be, or not to be" --steps --beside sonnets',
            '%llm_attention shakespeare "ROMEO:" --generate --layer 1',
            '%llm_attention dates "July 14, 2026" --target "14 juillet 2026"',
            "%%llm_attention shakespeare --save heads.svg\nTo be, or not to be, that is the question.",
        ),
        flags=(
            STEP,
            Flag("--steps", "", "of every checkpoint of the run, with a slider over the steps", "bool"),
            Flag("--beside", "RUN", "another run beside it, with the differences"),
            Flag("--layer", "N", "one layer alone; from the end by -1, -2", "int"),
            Flag("--head", "N", "one head alone", "int"),
            Flag("--target", "TEXT", "of an encoder-decoder: the answer, whose tokens look at those of the text"),
            Flag("--part", "NAME", "of an encoder-decoder: which attention", choices=("encoder", "decoder", "cross")),
            Flag("--pair", "TEXT", "of a model of pairs: the second text"),
            Flag("--generate", "", "let the model go on, and show what each new token looked at", "bool"),
            Flag("--save", "FILE", "write it too: a page .html, pictures .png and .svg, arrays .npz"),
        ),
        cell="the text",
        notes="RUN is a run's name, or last; without a text it shows what the run kept while training. It gives back "
        ".weights (layer, head, query, key), .heads(), .rollout(), .figure() and .save(FILE).",
    ),
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
            STEP,
        ),
        cell="the text",
        notes="RUN is a run's name, or last. It gives back .to_frame(), .alternatives, .bits_per_byte and .figure().",
    ),
    Command(
        "lens",
        "[RUN] [PROMPT...]",
        "Let a model write, see what else it might have written at each place, and branch with another token.",
        (
            '%llm_lens shakespeare "To be, or"',
            "%llm_lens last The value of --max-tokens 60 --temperature 1 --top-p 0.9",
            "%%llm_lens shakespeare\nTo be, or not to be,",
        ),
        flags=(
            Flag("--max-tokens", "N", "tokens to write [40]", "int"),
            Flag("--temperature", "X", "0 takes the likeliest; lower is safer, higher is bolder", "float"),
            Flag("--top-k", "N", "draw from the N likeliest alone", "int"),
            Flag("--top-p", "X", "draw from the likeliest that hold this share", "float"),
            Flag("--min-p", "X", "draw from what is at least so likely as a share of the likeliest", "float"),
            Flag("--seed", "N", "what is drawn; the same number gives the same text [1]", "int"),
            STEP,
        ),
        cell="the prompt",
        notes="RUN is a run's name, or last. It gives back .branch(PLACE, TOKEN), .table() and .to_frame().",
    ),
    Command(
        "tokens",
        "[TEXT...]",
        "Show how tokenizers cut a text, side by side, with what each takes for it.",
        (
            '%llm_tokens "To be, or not to be"',
            '%llm_tokens "今天天气很好 👍🏽" --tokenizers char byte bpe:2000',
            "%%llm_tokens --tokenizers char shakespeare\nTo be, or not to be,\nthat is the question.",
        ),
        flags=(
            Flag("--tokenizers", "NAME...", "char, byte, word, bpe, bpe:SIZE, a run, hf:PATH, FILE.json [all kinds]"),
            Flag("--corpus", "NAME...", "built-in corpora that kinds learn on here [python-docs zh-phrases]"),
        ),
        cell="the text",
        notes="It gives back .table and .to_frame().",
    ),
    Command(
        "embeddings",
        "[RUN] [TOKEN]",
        "Show which tokens of a model lie near a token, an analogy, or a map of all of them.",
        (
            "%llm_embeddings shakespeare king",
            "%llm_embeddings last --map tsne --search ing",
            "%llm_embeddings shakespeare --analogy man king woman",
        ),
        flags=(
            Flag("--analogy", "A B C", "A is to B as C is to whom?"),
            Flag("--map", "NAME", "all tokens on a plane; so it is without a token [pca]", choices=("pca", "tsne")),
            Flag("--search", "TEXT", "mark the tokens of the map that contain it"),
            Flag("--top", "N", "neighbours to show [10]", "int"),
            STEP,
        ),
        notes="RUN is a run's name, or last. nbllm.load(RUN).embeddings() has the vectors.",
    ),
    Command(
        "similarity",
        "[RUN] [TEXT...]",
        "Show how alike texts are to a model, each with each.",
        (
            '%llm_similarity minilm "a dog" "a puppy" "the stock market"',
            "%%llm_similarity minilm\nHow is the weather?\nIs it raining?\n今天天气怎么样？",
        ),
        flags=(STEP,),
        cell="the texts, one a line",
        notes="RUN is a run's name, last, hf:NAME_OR_PATH or minilm. It gives back .values, .table and .pairs().",
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
            Flag("--method", "NAME", "how it is measured [occlusion]", choices=("occlusion", "gradient", "integrated")),
            Flag("--target", "TEXT", "the token or label to explain; of an encoder-decoder the whole answer"),
            Flag("--pair", "TEXT", "of a classifier of pairs: the second text"),
            Flag("--baseline", "NAME", "what is neutral: mean (of all embeddings), zero, or the text of one token"),
            Flag("--steps", "N", "points of integrated gradients [64]", "int"),
            STEP,
        ),
        cell="the text",
        notes="RUN is a run's name, or last. It gives back .values (bits), .to_frame(), .strongest() and .figure().",
    ),
    Command(
        "gates",
        "[RUN] [TEXT...]",
        "Show the gates and states of a recurrent model over a text: units by tokens, sorted as you like.",
        (
            '%llm_gates words "The function returns a list"',
            '%llm_gates last "The function returns a list" --gate cell --sort variance',
            '%%llm_gates stories --sort quote\nanna said: "ben found the map!" the lamp stood near the mill.',
        ),
        flags=(
            Flag("--gate", "NAME", "which: input, forget, output, cell, hidden; update, reset, candidate of a gru"),
            Flag("--layer", "N", "one recurrent layer; the last where not given", "int"),
            Flag("--sort", "NAME", "order of the units: unit, half_life, variance, mean, or a property as quote, line"),
            STEP,
        ),
        cell="the text",
        notes="RUN is a run's name, or last. It gives back name to (layer, token, unit), .half_life(), .to_frame() and "
        ".figure().",
    ),
    Command(
        "units",
        "[RUN] [TEXT...]",
        "Find the unit whose state keeps track of a property of the text, such as being inside quotation marks.",
        (
            '%%llm_units stories --property quote\nanna said: "ben found the map!" the lamp stood near the mill.',
            "%%llm_units last --property line --state hidden\nThe function returns\na list of names.",
            "%%llm_units last --property word\nThe function returns a list of names, and the caller sorts it.",
        ),
        flags=(
            Flag("--property", "NAME", "quote, line, word, depth, place, digit, upper, space, cjk, or {{values}}"),
            Flag("--state", "NAME", "one kind of state alone: cell, hidden, residual, response, ..."),
            Flag("--layer", "N", "one block alone; from the end by -1, -2", "int"),
            STEP,
        ),
        cell="the text",
        notes="RUN is a run's name, or last. Units are ranked by the first half of the text and judged by the second. "
        "It gives back .table, .to_frame() and .figure().",
    ),
    Command(
        "filters",
        "[RUN] [TEXT...]",
        "Show what in a text excites each filter of a convolutional model the most.",
        (
            '%llm_filters reader "The function returns a list"',
            "%%llm_filters last --layer 0\nThe function returns a list of names, and the caller sorts it.",
        ),
        flags=(
            Flag("--layer", "N", "one convolution; the last where not given", "int"),
            STEP,
        ),
        cell="the text",
        notes="RUN is a run's name, or last. It gives back .table, .strongest(FILTER), .responses and .figure().",
    ),
    Command(
        "latent_map",
        "[RUN]",
        "Show where sentences lie in the latent space of a vae, on two axes.",
        (
            "%llm_latent_map sentences --texts {{df}}",
            "%%llm_latent_map sentences --method tsne\n今天天气很好。\n他们一共花了一百元。\n明天我们去图书馆。",
        ),
        flags=(
            Flag("--texts", "NAME", "a list, or a table with text and label, as {{name}}"),
            Flag("--method", "NAME", "how the plane is found [pca]", choices=("pca", "tsne", "umap")),
            STEP,
        ),
        cell="the sentences, one a line",
        notes="RUN is a run's name, or last. It gives back .to_frame(), .table of the active units and .figure().",
    ),
)
