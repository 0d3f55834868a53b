"""Tiny models of transformers with random weights, in the hub's format, each with a small tokenizer of its family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXT = [
    "The quick brown fox jumps over the lazy dog, and the dog looks at the fox.",
    "A list holds values in order; a set holds each value once.",
    "你好，世界。今天天气很好，我们去公园。",
]
V, WIDTH, PLACES = 300, 32, 64
KINDS = ("gpt2", "qwen3", "llama", "bert", "distilbert", "roberta", "t5", "bart", "marian", "bert-labels")
# Made for a task: a token classifier (its labels in an order of their own), a span head, a chat template.
MADE_FOR = ("bert-tags", "bert-spans", "qwen3-chat")
TAGS = ["I-place", "O", "B-person", "I-person", "B-place"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make(kind: str, folder: Path) -> Path:
    """Save the model of that kind and its tokenizer; the folder."""
    torch.manual_seed(1)
    names, tokenizer = _chat() if kind.endswith("-chat") else _TOKENIZERS[kind.partition("-")[0]]()
    tokens = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=PLACES, **names)
    if kind.endswith("-chat"):
        tokens.chat_template = TEMPLATE
    ids = {
        f"{role}_id": tokenizer.token_to_id(name) for role, name in names.items() if role[:3] in ("pad", "eos", "bos")
    }
    model = _model(kind, ids)
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) * 0.1
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


def _model(kind: str, ids: dict[str, Any]) -> Any:
    t = transformers
    llama = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "max_position_embeddings": PLACES, "vocab_size": V, **ids}  # fmt: skip
    bert = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": PLACES, "vocab_size": V, **ids}  # fmt: skip
    bart = {"d_model": WIDTH, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
            "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "vocab_size": V,
            "max_position_embeddings": PLACES, "forced_eos_token_id": None, **ids}  # fmt: skip
    match kind:
        case "gpt2":
            return t.GPT2LMHeadModel(
                t.GPT2Config(vocab_size=V, n_positions=PLACES, n_embd=WIDTH, n_layer=2, n_head=4, **ids)
            )
        case "bert-tags":
            return t.BertForTokenClassification(t.BertConfig(**bert, id2label=dict(enumerate(TAGS))))
        case "bert-spans":
            return t.BertForQuestionAnswering(t.BertConfig(**bert))
        case "qwen3" | "qwen3-chat":
            return t.Qwen3ForCausalLM(t.Qwen3Config(**llama, head_dim=8))
        case "llama":
            return t.LlamaForCausalLM(t.LlamaConfig(**llama))
        case "bert":
            return t.BertForMaskedLM(t.BertConfig(**bert))
        case "bert-labels":
            labels = {0: "bad", 1: "good", 2: "so-so"}
            return t.BertForSequenceClassification(t.BertConfig(**bert, id2label=labels))
        case "distilbert":
            return t.DistilBertForMaskedLM(
                t.DistilBertConfig(
                    vocab_size=V, max_position_embeddings=PLACES, n_layers=2, n_heads=4, dim=WIDTH, hidden_dim=48, **ids
                )
            )
        case "roberta":
            sizes = {**bert, "max_position_embeddings": PLACES + 2, "type_vocab_size": 1}
            return t.RobertaForMaskedLM(t.RobertaConfig(**sizes))
        case "t5":
            sizes = {"vocab_size": V, "d_model": WIDTH, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
            start = ids["pad_token_id"]
            return t.T5ForConditionalGeneration(t.T5Config(**sizes, decoder_start_token_id=start, **ids))
        case "bart":
            return t.BartForConditionalGeneration(t.BartConfig(**bart, decoder_start_token_id=ids["eos_token_id"]))
        case "marian":
            return t.MarianMTModel(t.MarianConfig(**bart, decoder_start_token_id=ids["pad_token_id"]))
    raise AssertionError(kind)


def _byte_level(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=V, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def _gpt2() -> tuple[dict[str, str], Tokenizer]:
    return {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"}, _byte_level(["<|endoftext|>"])


def _chat() -> tuple[dict[str, str], Tokenizer]:
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, _byte_level(names)


def _llama() -> tuple[dict[str, str], Tokenizer]:
    tokenizer = _byte_level(["<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    return {"bos_token": "<s>", "eos_token": "</s>"}, tokenizer


def _roberta() -> tuple[dict[str, str], Tokenizer]:
    tokenizer = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos": "<s>", "cls": "<s>", "pad": "<pad>", "eos": "</s>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    return {f"{role}_token": name for role, name in names.items()}, tokenizer


def _bert() -> tuple[dict[str, str], Tokenizer]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=V, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return {f"{name[1:-1].lower()}_token": name for name in special}, tokenizer


def _t5() -> tuple[dict[str, str], Tokenizer]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>", *(f"<extra_id_{i}>" for i in range(32))]
    trainer = trainers.UnigramTrainer(vocab_size=V, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    return {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}, tokenizer


_TOKENIZERS = {
    "gpt2": _gpt2, "qwen3": _gpt2, "llama": _llama, "bert": _bert, "distilbert": _bert, "roberta": _roberta, "t5": _t5,
    "bart": _roberta, "marian": _t5,
}  # fmt: skip
