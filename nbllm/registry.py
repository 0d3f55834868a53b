"""Tables from a name to an object, the extension points of nbllm.

A table knows what it holds (`noun`), answers a wrong name with the nearest right one, and imports built-in entries only
when they are asked for: an entry may be given as "package.module:attribute".
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from nbllm.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects. `register` is a decorator, `get` resolves, iteration gives the sorted names."""

    def __init__(self, noun: str, **entries: str):
        self.noun = noun
        self._lazy: dict[str, str] = dict(entries)
        self._found: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: enter the object under `name`, in place of an earlier one of that name."""
        if not name.isidentifier():
            raise ConfigError(f"'{name}' cannot name a {self.noun}.", "Use letters, digits and _, as in 'my_model'.")

        def enter(thing: T) -> T:
            self._found[name] = thing
            return thing

        return enter

    def get(self, name: str) -> T:
        """The object of that name; a ConfigError with the nearest name otherwise."""
        if name not in self._found:
            if name not in self._lazy:
                raise ConfigError(f"There is no {self.noun} '{name}'.", did_you_mean(name, self))
            module, _, attribute = self._lazy[name].partition(":")
            self._found[name] = getattr(importlib.import_module(module), attribute)
        return self._found[name]

    def is_builtin(self, name: str) -> bool:
        """Whether the package itself brings this entry and no cell has replaced it."""
        if name not in self._lazy:
            return False
        thing: Any = self._found.get(name)
        return thing is None or getattr(thing, "__module__", "nbllm").split(".")[0] == "nbllm"

    def __contains__(self, name: object) -> bool:
        return name in self._found or name in self._lazy

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._lazy, *self._found}))


MODELS: Registry[Any] = Registry(
    "model",
    **dict.fromkeys(
        ("transformer", "rnn", "lstm", "gru", "cnn", "hybrid"), "nbllm.models.language_model:LanguageModel"
    ),
    bert="nbllm.models.encoder:MaskedModel",
    seq2seq="nbllm.models.encoder_decoder:EncoderDecoder",
    vae="nbllm.models.vae:VAE",
    huggingface="nbllm.models.huggingface.foreign:Foreign",
)
OBJECTIVES: Registry[Any] = Registry(
    "objective",
    **{
        "clm": "nbllm.objectives.clm:NextToken",
        "prefix-lm": "nbllm.objectives.clm:PrefixNextToken",
        "mlm": "nbllm.objectives.mlm:Masked",
        "nsp": "nbllm.objectives.mlm:NextSentence",
        "seq2seq": "nbllm.objectives.seq2seq:Translate",
        "span": "nbllm.objectives.seq2seq:SpanCorruption",
        "classification": "nbllm.objectives.classification:Classify",
        "tagging": "nbllm.objectives.tagging:Tag",
        "answer-span": "nbllm.objectives.answer_span:AnswerSpan",
        "elbo": "nbllm.objectives.elbo:Elbo",
    },
)
METRICS: Registry[Any] = Registry(
    "metric", accuracy="nbllm.training.metrics:accuracy", top5="nbllm.training.metrics:top5"
)
CALLBACKS: Registry[Any] = Registry("callback")
LOGGERS: Registry[Any] = Registry(
    "logger",
    tensorboard="nbllm.runners.loggers.tensorboard:TensorBoard",
    wandb="nbllm.runners.loggers.wandb:WeightsAndBiases",
    mlflow="nbllm.runners.loggers.mlflow:MLflow",
    trackio="nbllm.runners.loggers.trackio:Trackio",
)
TOKENIZERS: Registry[Any] = Registry(
    "tokenizer",
    char="nbllm.data.tokenizers:char",
    byte="nbllm.data.tokenizers:byte",
    word="nbllm.data.tokenizers:word",
    bpe="nbllm.data.tokenizers:bpe",
)
CORPORA: Registry[Any] = Registry(
    "built-in corpus",
    **{
        "python-docs": "nbllm.data.builtin:python_docs",
        "python-stdlib": "nbllm.data.builtin:python_stdlib",
        "python-docstrings": "nbllm.data.builtin:python_docstrings",
        "python-code": "nbllm.data.functions:python_code",
        "python-explained": "nbllm.data.functions:python_explained",
        "zh-phrases": "nbllm.data.builtin:zh_phrases",
        "quotes": "nbllm.data.quotes:quotes",
        "zh-quotes": "nbllm.data.quotes:zh_quotes",
    },
)
TABLES: Registry[Any] = Registry(
    "built-in table",
    **{
        "python-topics": "nbllm.data.builtin_tables:python_topics",
        "date-pairs": "nbllm.data.builtin_tables:date_pairs",
        "reviews": "nbllm.data.reviews:reviews",
        "zh-reviews": "nbllm.data.reviews:zh_reviews",
        "python-completions": "nbllm.data.functions:python_completions",
        "function-summaries": "nbllm.data.functions:function_summaries",
        "events": "nbllm.data.events:events",
        "reports": "nbllm.data.reports:reports",
        "docstring-summaries": "nbllm.data.reports:docstrings",
        "instructions": "nbllm.data.writing:instructions",
        "dialogues": "nbllm.data.dialogues:dialogues",
        "zh-events": "nbllm.data.events:zh_events",
        "paraphrases": "nbllm.data.events:paraphrases",
        "qa": "nbllm.data.world:every",
        "qa-one": "nbllm.data.world:one",
        "qa-two": "nbllm.data.world:two",
        "zh-qa": "nbllm.data.world:zh_every",
        "zh-qa-one": "nbllm.data.world:zh_one",
        **{
            f"phrases-{pair}": f"nbllm.data.translations:{pair.replace('-', '_')}"
            for pair in ("en-fr", "en-de", "en-es", "en-zh", "en-ja", "fr-en", "de-en", "es-en", "zh-en", "ja-en")
        },
    },
)
TASKS: Registry[Any] = Registry(
    "task",
    sentiment="nbllm.tasks.sentiment:Sentiment",
    topic="nbllm.tasks.topic:Topic",
    pairs="nbllm.tasks.pairs:Pairs",
    extract="nbllm.tasks.extract:Extract",
    translate="nbllm.tasks.translate:Translate",
    summarize="nbllm.tasks.summarize:Summarize",
    code="nbllm.tasks.code:Code",
    explain="nbllm.tasks.code:Explain",
    generate="nbllm.tasks.generate:Generate",
    chat="nbllm.tasks.chat:Chat",
    qa="nbllm.tasks.qa:QuestionAnswering",
)
# What the front door knows of a cell's text, for those who stand behind it.
CELLS: Registry[Any] = Registry(
    "way with a cell", read="nbllm.magics.cells:read", begin="nbllm.magics.cells:begin_cell"
)
VIEWS: Registry[Any] = Registry(
    "view",
    dashboard="nbllm.dashboards:dashboard",
    attention="nbllm.plots.heads:attention_figure",
    attention_picture="nbllm.plots.heads:attention_picture",
    attention_heads="nbllm.plots.model_view:model_view_figure",
    attention_lines="nbllm.plots.head_lines:head_lines_figure",
    attention_measures="nbllm.plots.head_measures:head_measures_figure",
    attention_beside="nbllm.plots.attention_beside:attention_beside_figure",
    attention_steps="nbllm.plots.attention_steps:attention_steps_figure",
    explorer="nbllm.dashboards.explorer:explore",
    run_explorer="nbllm.dashboards.explorer:explore_run",
    head_course="nbllm.plots.head_course:head_course_figure",
    head_course_picture="nbllm.plots.head_course:head_course_picture",
    attention_drawing="nbllm.plots.heads_drawing:attention_drawing",
    attention_page="nbllm.dashboards.attention_page:page",
    predictions="nbllm.plots.lens:lens_figure",
    predictions_page="nbllm.dashboards.strip:strip",
    predictions_picture="nbllm.plots.lens:lens_picture",
    lens="nbllm.dashboards.lens:lens",
    playground="nbllm.dashboards.playground:playground",
    neighbours_page="nbllm.dashboards.meaning:neighbours_page",
    neighbours_text="nbllm.dashboards.meaning:neighbours_text",
    embedding_map="nbllm.plots.embeddings:embedding_map",
    embedding_map_picture="nbllm.plots.embeddings:embedding_map_picture",
    similarity="nbllm.plots.embeddings:similarity_figure",
    similarity_picture="nbllm.plots.embeddings:similarity_picture",
    tokens_page="nbllm.dashboards.tokens:page",
    tokens_text="nbllm.dashboards.tokens:text",
    influence="nbllm.plots.influence:influence_figure",
    influence_picture="nbllm.plots.influence:influence_picture",
    gates="nbllm.plots.unit_maps:gates_figure",
    gates_picture="nbllm.plots.unit_maps:gates_picture",
    units="nbllm.plots.units:units_figure",
    units_picture="nbllm.plots.units:units_picture",
    units_page="nbllm.dashboards.states:units_page",
    filters="nbllm.plots.unit_maps:filters_figure",
    filters_picture="nbllm.plots.unit_maps:filters_picture",
    latent_map="nbllm.plots.latent_map:latent_figure",
    latent_map_picture="nbllm.plots.latent_map:latent_picture",
    finding="nbllm.plots.findings:finding_figure",
    finding_readied="nbllm.plots.findings:readied",
    finding_svg="nbllm.plots.findings_still:svg",
    finding_text="nbllm.dashboards.findings:text",
    finding_page="nbllm.dashboards.findings:page",
    finding_display="nbllm.dashboards.findings:show",
    cost="nbllm.plots.cost:cost_figure",
    cost_text="nbllm.dashboards.cost:text",
    cost_page="nbllm.dashboards.cost:page",
    cost_display="nbllm.dashboards.cost:show",
    report="nbllm.dashboards.report.page:report",
    comparison="nbllm.plots.compare:comparison_figure",
    comparison_page="nbllm.dashboards.compare:page",
    comparison_display="nbllm.dashboards.compare:show",
    repeats="nbllm.plots.spread:repeats_figure",
    repeats_chart="nbllm.plots.spread:repeats_chart",
    learning_curve="nbllm.plots.spread:learning_figure",
    learning_curve_chart="nbllm.plots.spread:learning_chart",
    lr_finder="nbllm.plots.rates:lr_figure",
    lr_finder_picture="nbllm.plots.rates:lr_picture",
    curve_picture="nbllm.plots.card:curve_picture",
    series_page="nbllm.dashboards.series:page",
    series_display="nbllm.dashboards.series:show",
)
