"""What is drawn of a network: the boxes from text to answer, in words, with blocks that repeat in groups."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from itertools import groupby

from nbllm.config import FAMILIES, ModelConfig, RunConfig, goal_of
from nbllm.models import estimate

_NAMES = {
    "attention": "attention", "rnn": "recurrent layer", "lstm": "LSTM", "gru": "GRU", "conv": "gated convolution",
}  # fmt: skip
_TOKENS = {"char": "characters", "byte": "bytes", "word": "words", "bpe": "parts of words (bpe)"}
_POOLS = {
    "mean": "the mean of all places", "last": "the last place", "first": "the first place",
    "max": "the largest of each unit", "ends": "the last state of each way",
}  # fmt: skip
_MOST = 5  # different blocks that are drawn one by one


@dataclass(frozen=True)
class Box:
    """A part: its title, and what is to be known of it. `skips`: there is a way past it; `loops`: it hands its state on
    to the next token; `looks`: it looks at what the encoder has read."""

    title: str
    notes: tuple[str, ...] = ()
    kind: str = "plain"
    skips: bool = False
    loops: bool = False
    looks: bool = False


@dataclass(frozen=True)
class Group:
    """Parts that come so many times, one after the other."""

    items: list[Box | Group] = field(default_factory=list)
    times: int = 1
    name: str = "block"


Items = list[Box | Group]


def columns(config: RunConfig, vocabulary: int) -> list[Items]:
    """The parts from top to bottom; of an encoder-decoder two columns."""
    model, head = config.model, goal_of(config.objective).head
    text = Box("text", (), "text")
    if not estimate.knows(model):
        name = str(config.init_from or model.kind) if model.kind == "huggingface" else model.kind
        what = "a model of Hugging Face" if model.kind == "huggingface" else "a model of your own"
        return [[text, _tokens(config, vocabulary), Box(name, (what,), "attention"), _answer(config, vocabulary)]]
    if head == "target":
        encoder, decoder = model.two_stacks()
        both = model.two_way_encoder
        first = [Box("source", (), "text"), _tokens(config, vocabulary), _embedding(model, config, vocabulary)]
        second: Items = [Box("target, so far", (), "text"), _embedding(model, config, vocabulary, again=True)]
        second += [*_stack(model, decoder, False, cross=True), *_last_norm(model), _answer(config, vocabulary)]
        return [[*first, *_stack(model, encoder, both), *_last_norm(model)], second]
    start: Items = [text, _tokens(config, vocabulary), _embedding(model, config, vocabulary)]
    if head == "latent":
        encoder, decoder = model.two_stacks()
        latent = Box("latent space", (f"mean and spread of {model.latent} units", "a point is drawn from it"), "latent")
        coded = [*start, *_stack(model, encoder, model.two_way_encoder, name="block of the encoder"), latent]
        return [[*coded, *_stack(model, decoder, False, name="block of the decoder"), _answer(config, vocabulary)]]
    ends: Items = []
    if head == "labels":
        beside = ("beside it the sum of the embeddings",) if model.bag else ()
        ends = [Box("one vector for the text", (_POOLS[model.pooling], *beside))]
    return [
        [*start, *_stack(model, model.stack(), model.bidirectional), *_last_norm(model), *ends,
         _answer(config, vocabulary)]
    ]  # fmt: skip


def wrapped(text: str, room: float, size: float) -> list[str]:
    """The text in lines that fit into so many pixels; a Chinese sign is as wide as high and a line may end after it."""
    lines, now, used = [], "", 0.0
    for word in _words(text):
        wide = sum(size if unicodedata.east_asian_width(c) in "WF" else size * 0.53 for c in word)
        if now and used + wide > room:
            lines.append(now.rstrip())
            now, used = "", 0.0
            word = word.lstrip()
        while wide > room and len(word) > 1:  # a word that no line holds
            cut = max(1, int(len(word) * room / wide))
            lines.append(word[:cut])
            word = word[cut:]
            wide = sum(size if unicodedata.east_asian_width(c) in "WF" else size * 0.53 for c in word)
        now += word
        used += wide
    return [*lines, now.rstrip()] if now.strip() or not lines else lines


def _words(text: str) -> list[str]:
    found = [""]
    for letter in text:
        if letter == " " or unicodedata.east_asian_width(letter) in "WF":
            found.append(letter)
        else:
            found[-1] += letter
    return [word for word in found if word]


def _tokens(config: RunConfig, vocabulary: int) -> Box:
    kind = config.tokenizer.kind
    known = _TOKENS.get(kind, "a saved tokenizer")
    rows = bool(goal_of(config.objective).columns)
    window = f"texts of at most {config.train.context:,}" if rows else f"windows of {config.train.context:,}"
    guess = "" if kind in ("byte",) else "about " if kind == "char" else "at most " if kind in _TOKENS else "some "
    return Box("tokens", (f"{known}, {guess}{vocabulary:,} of them; {window}",))


def _embedding(model: ModelConfig, config: RunConfig, vocabulary: int, again: bool = False) -> Box:
    notes = [f"a vector of {model.width:,} units for each token"]
    if again and model.shared_embedding and not config.tokenizer.separate:
        notes = ["the same as that of the source"]
    if model.positions in ("learned", "sinusoidal"):
        notes.append(f"{model.positions} positions are added")
    if model.segments:
        notes.append("first or second text is added")
    if model.bigrams and not again:
        notes.append("pairs of tokens are added")
    if model.smear and not again:
        notes.append("a share of the token before is added")
    if model.embedding_norm:
        notes.append("then normalised")
    return Box("embedding", tuple(notes))


def _last_norm(model: ModelConfig) -> Items:
    return [] if model.plain or model.norm_place == "after" else [Box(_norm(model), (), "text")]


def _norm(model: ModelConfig) -> str:
    return "RMS norm" if model.norm == "rms" else "layer norm"


def _stack(model: ModelConfig, mixers: list[str], both_ways: bool, cross: bool = False, name: str = "block") -> Items:
    """The blocks in groups: those that are alike, or a pattern that comes again."""
    period = next(n for n in range(1, len(mixers) + 1) if mixers == mixers[:n] * (len(mixers) // n))
    pattern = [(mixer, len(list(each))) for mixer, each in groupby(mixers[:period])]
    last = len(mixers) - 1
    looking = [cross and model.cross != "none" and (mixer == "attention" or index == last)
               for index, mixer in enumerate(mixers)]  # fmt: skip
    every = looking[0] == looking[-1]
    if len(pattern) == 1 and every:
        return [Group(_block(model, mixers[0], both_ways, looking[0]), len(mixers), name)]
    if len(pattern) == 1:  # only the last one looks at the encoder
        upper = Group(_block(model, mixers[-1], both_ways, True), 1, name)
        return [Group(_block(model, mixers[0], both_ways, False), len(mixers) - 1, name), upper]
    shown: Items = [
        Group(_block(model, mixer, both_ways, cross and model.cross != "none" and mixer == "attention"), count, name)
        for mixer, count in pattern[:_MOST]
    ]
    if len(pattern) > _MOST:
        left = sum(count for _, count in pattern[_MOST:])
        shown.append(
            Box(f"{left} more blocks", tuple(_NAMES[mixer] for mixer, _ in pattern[_MOST : 2 * _MOST]), "text")
        )
    times = len(mixers) // period
    return [Group(shown, times, "these blocks")] if times > 1 else shown


def _block(model: ModelConfig, mixer: str, both_ways: bool, looks: bool) -> Items:
    """What is inside a block."""
    found = [_mixer(model, mixer, both_ways)]
    if looks:
        found.append(Box("attention to the source", (_looking(model),), "attention", looks=True))
    if units := model.mlp_of(mixer):
        gated = ", gated" if model.activation in ("swiglu", "geglu") else ""
        found.append(Box("MLP", (f"{units:,} units, {model.activation}{gated}",), "mlp"))
    if model.plain:
        return list(found)
    norm = Box(_norm(model), (), "text")
    whole: Items = []
    for part in found:
        way_past = Box(part.title, part.notes, part.kind, True, part.loops, part.looks)
        whole += [norm, way_past] if model.norm_place == "before" else [way_past, norm]
    return whole


def _mixer(model: ModelConfig, mixer: str, both_ways: bool) -> Box:
    if mixer == "attention":
        notes = [_heads(model), "looks both ways" if both_ways else "looks back only"]
        if model.window:
            notes[1] += f", at most {model.window:,} tokens"
        if model.positions == "rope":
            notes.append("rotary positions")
        return Box("self-attention", tuple(notes), "attention")
    if mixer == "conv":
        reach = f"{model.kernel} tokens at once"
        steps = ", ".join(str(1 << n) for n in range(min(model.dilations, 4)))
        return Box(_NAMES[mixer], (reach, f"spread by {steps}{', …' if model.dilations > 4 else ''}"), "conv")
    ways = "reads both ways, " if both_ways else ""
    note = f"{ways}hands {model.width:,} units on to the next token"
    return Box(_NAMES[mixer], (note,), "recurrent", loops=True)


def _heads(model: ModelConfig) -> str:
    several = f"{model.heads} heads" if model.heads > 1 else "1 head"
    shared = f", {model.key_heads} of keys" if model.key_heads != model.heads else ""
    return f"{several} of {model.head_dim} units{shared}"


def _looking(model: ModelConfig) -> str:
    return f"{_heads(model)}, {'additive' if model.cross == 'additive' else 'scaled dot products'}"


def _answer(config: RunConfig, vocabulary: int) -> Box:
    """The head, by what is learned."""
    model, goal, objective = config.model, goal_of(config.objective), config.objective
    tied = model.kind in FAMILIES and model.kind != "huggingface" and model.tied
    weights = ("with the weights of the embedding",) if tied else ()
    chances = f"a probability for each of {vocabulary:,}"
    if goal.head == "labels":
        count = f"{len(objective.labels)} labels" if objective.labels else "each label"
        how = "one sigmoid, yes or no" if objective.answer == "sigmoid" else f"a probability for {count}"
        return Box("label of the text", (how,))
    if goal.head == "tags":
        return Box("tag of each token", ("where an entity begins and goes on",))
    if goal.head == "masked":
        if objective.kind == "nsp":
            return Box("does the second text follow?", ("yes or no",))
        more = ("and whether the second text follows",) if objective.next_sentence else ()
        return Box("hidden tokens", (f"{objective.mask_share:.0%} of them; {chances}", *weights, *more))
    if goal.head == "latent":
        return Box("the same text again", (chances, *weights))
    return Box("next token", (chances, *weights))
