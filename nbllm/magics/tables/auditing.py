"""Commands of responsible use: bias, memorization, privacy and their kin. Each asks a run, and shows a finding."""

from __future__ import annotations

from nbllm.magics.command import Command, Flag
from nbllm.magics.tables.common import STEP

_SEED = Flag("--seed", "N", "of what is drawn [0]", "int")
_KEPT = "What is found is kept in the run's folder. It has .facts, .table, .says, .limits and .figure()."

TABLE: tuple[Command, ...] = (
    Command(
        "bias",
        "RUN",
        "Show whether a model expects other things of one group than of another, by texts that differ in one word.",
        (
            "%llm_bias shakespeare",
            "%llm_bias last --language zh",
            "%llm_bias last --templates templates.csv --groups groups.csv",
            "%llm_bias reviews --label good --templates {{sentences}} --groups {{groups}}",
        ),
        flags=(
            Flag("--templates", "FILE", "a table of your own: prompt (with {group}), continuation, toward"),
            Flag("--groups", "FILE", "a table of your own: a column a group, its words paired by row"),
            Flag("--language", "NAME", "of nbllm's own statements [en]", choices=("en", "zh")),
            Flag("--label", "NAME", "of a classifier: the label whose probability is compared"),
            _SEED,
            STEP,
        ),
        notes=_KEPT,
    ),
    Command(
        "toxicity",
        "RUN FILE",
        "Count the texts that a model writes with words of a list that you bring, one a line.",
        (
            "%llm_toxicity shakespeare words.txt",
            '%llm_toxicity last words.txt --prompt "They say that" --prompt "I think" --samples 50',
            "%llm_toxicity last {{words}} --max-tokens 40",
        ),
        flags=(
            Flag(
                "--prompt", "TEXT", "what is gone on from (may be given several times); nothing otherwise", repeat=True
            ),
            Flag("--samples", "N", "texts from each prompt [25]", "int"),
            Flag("--max-tokens", "N", "tokens of a text at most [60]", "int"),
            Flag("--temperature", "X", "0 takes the likeliest token, higher is wilder [0.8]", "float"),
            _SEED,
            STEP,
        ),
        notes=f"nbllm ships no list. {{{{name}}}} may hold a list or a function of a text. {_KEPT}",
    ),
    Command(
        "robustness",
        "RUN",
        "Show how the answers of a classifier move under typos, synonyms and sentences beside the point.",
        (
            "%llm_robustness topics",
            "%llm_robustness topics --changes typos --rate 0.1",
            '%llm_robustness topics --text "a fine film" --text "a dull film"',
        ),
        flags=(
            Flag(
                "--text", "TEXT", "a text to change (may be given several times); held-out rows otherwise", repeat=True
            ),
            Flag("--changes", "NAME...", "typos, synonyms, distractors [all]"),
            Flag("--rate", "X", "share of the letters mistyped [0.05]", "float"),
            Flag("--synonyms", "{{...}}", "a table of your own, {word: [others]}"),
            Flag("--distractors", "{{...}}", "sentences of your own"),
            Flag("--repeats", "N", "draws of each change [3]", "int"),
            _SEED,
            STEP,
        ),
        notes=_KEPT,
    ),
    Command(
        "balance",
        "[RUN]",
        "Count what a text holds: labels, languages, and how often it speaks of groups of people.",
        (
            "%llm_balance shakespeare",
            "%llm_balance --data reviews.csv --label-column stars",
            "%llm_balance --data {{df}}",
        ),
        flags=(
            Flag("--groups", "FILE", "a table of your own: a column a group, with its words"),
            Flag("--bits", "", "of a run: its model's bits per byte by label and language, too", "bool"),
        ),
        sections=("data",),
        notes=_KEPT,
    ),
    Command(
        "memorization",
        "RUN",
        "Show how much of its training text a model gives back word for word, beside the same of held-out text.",
        (
            "%llm_memorization shakespeare",
            "%llm_memorization last --prefix-tokens 24 --tokens 24",
            "%llm_memorization last --prefixes 1000 --step 2000",
        ),
        flags=(
            Flag("--prefixes", "N", "stretches of either text [400]", "int"),
            Flag("--prefix-tokens", "N", "tokens that are read first; half of the context, at most 50", "int"),
            Flag("--tokens", "N", "tokens that are to be given back; the rest of the context, at most 50", "int"),
            _SEED,
            STEP,
        ),
        notes=_KEPT,
    ),
    Command(
        "exposure",
        "RUN",
        "Show how far a model has learned planted secrets by heart, by how often each was planted (--canaries).",
        ("%llm_exposure secrets", "%llm_exposure last --step 400"),
        flags=(_SEED, STEP),
        notes=f"Plant some first: %llm_train secrets --canaries 1,4,16. {_KEPT}",
    ),
    Command(
        "membership",
        "RUN",
        "Show whether it can be told from a model's loss which texts it learned from.",
        (
            "%llm_membership shakespeare",
            "%llm_membership last --texts 2000",
            "%llm_membership last --reference other",
        ),
        flags=(
            Flag("--reference", "RUN", "a run over other text of the same kind, with the same tokenizer"),
            Flag("--texts", "N", "stretches or rows of either text [500, or 200 where each is read alone]", "int"),
            _SEED,
            STEP,
        ),
        notes=_KEPT,
    ),
    Command(
        "scan",
        "[SOURCE]",
        "Look for personal data in a text before training: e-mail, telephone, card and identity numbers.",
        (
            "%llm_scan ./letters.txt",
            "%llm_scan reviews.csv --text-column review --kinds email phone",
            "%llm_scan {{df}}",
            "%llm_scan --run shakespeare",
        ),
        flags=(
            Flag("--kinds", "NAME...", "email, phone, card, china-id, us-ssn, iban, ip [all]"),
            Flag("--run", "RUN", "the text that a run learned from, in place of a source"),
        ),
        sections=("data",),
        notes="To train without what was found: --redact all, or data: {clean: {redact: true}}.",
    ),
)
