"""Our decoder is transformers' Qwen3 or Llama: the same logits from the same weights, in memory and from a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers.models.llama import modeling_llama
from transformers.models.qwen3 import modeling_qwen3

from nbllm.config import ModelConfig
from nbllm.errors import ModelError
from nbllm.models import huggingface
from nbllm.models.language_model import LanguageModel

V, T = 23, 20
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen3": {"layers": 2, "width": 24, "heads": 3, "rope_base": 5000.0},
    "qwen3-grouped-untied": {"layers": 2, "width": 24, "heads": 4, "kv_heads": 2, "head_width": 8, "tied": False},
    "llama": {"layers": 2, "width": 24, "heads": 2, "qk_norm": False},
    "llama-grouped-untied": {"layers": 2, "width": 32, "heads": 4, "kv_heads": 1, "qk_norm": False, "tied": False},
}


class Float64Torch:
    """The torch module as their modelling code sees it, with the float32 they compute norms and angles in made float64.

    Their own code then runs unchanged, and can be compared beyond float32's seventh digit.
    """

    float32 = float = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return ModelConfig(**CONFIGS[request.param])


def trained(config: ModelConfig, dtype: torch.dtype) -> LanguageModel:
    module = LanguageModel(config, V, T).to(dtype).eval()
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3 + 0.1
    return module


def theirs(module: LanguageModel, config: ModelConfig, dtype: torch.dtype) -> torch.nn.Module:
    keys = huggingface.layout(config, V, T)
    qwen = keys.pop("model_type") == "qwen3"
    home: ModuleType = modeling_qwen3 if qwen else modeling_llama
    settings = (home.Qwen3Config if qwen else home.LlamaConfig)(**keys)
    model = (home.Qwen3ForCausalLM if qwen else home.LlamaForCausalLM)(settings).to(dtype).eval()
    if dtype == torch.float64:
        rotary = model.model.rotary_emb
        rotary.inv_freq = rotary.compute_default_rope_parameters(settings)[0]
    missing, unexpected = model.load_state_dict(huggingface.convert_state_dict(module), strict=False)
    assert unexpected == []
    assert missing == (["lm_head.weight"] if config.tied else [])
    return model


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_same_logits(config: ModelConfig, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    if dtype == torch.float64:
        for home in (modeling_qwen3, modeling_llama):
            monkeypatch.setattr(home, "torch", Float64Torch())
    module = trained(config, dtype)
    reference = theirs(module, config, dtype)
    tokens = torch.randint(V, (2, T))
    with torch.no_grad():
        ours, expected = module(tokens), reference(tokens).logits
    assert expected.dtype == dtype
    tolerance = 1e-8 if dtype == torch.float64 else 1e-4 * expected.abs().max().item()
    torch.testing.assert_close(ours, expected, rtol=0, atol=tolerance)


READ_BACK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "nbllm":
            raise ImportError("nbllm is blocked")
sys.meta_path.insert(0, Block())
import json, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
for folder in sys.argv[1:]:
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("héllo 你好", return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits
    written = model.generate(ids, max_new_tokens=3, do_sample=False)
    print(json.dumps({"class": type(model).__name__, "ids": ids[0].tolist(), "logits": logits[0].tolist(),
        "text": tokenizer.decode(ids[0]), "eos": tokenizer.eos_token, "eos_id": model.config.eos_token_id,
        "length": tokenizer.model_max_length, "written": written.shape[1] > ids.shape[1]}))
"""


def test_exported_folders_load_without_nbllm(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    vocabulary = {letter: index for index, letter in enumerate(["<unk>", "<eos>", *"hélo 你好abcdfgijkmnp"])}
    assert len(vocabulary) <= V
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    modules, folders = {}, []
    for name in ("qwen3-grouped-untied", "llama"):
        config = ModelConfig(**CONFIGS[name])
        modules[name] = trained(config, torch.float32)
        folders.append(huggingface.export(modules[name], config, path, tmp_path / name, context=T))
    command = [sys.executable, "-c", READ_BACK, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [found["class"] for found in answers] == ["Qwen3ForCausalLM", "LlamaForCausalLM"]
    for found, module in zip(answers, modules.values(), strict=True):
        assert found["ids"] == tokenizer.encode("héllo 你好").ids
        assert found["text"] == "héllo 你好"
        assert (found["eos"], found["eos_id"], found["length"], found["written"]) == ("<eos>", 1, T, True)
        with torch.no_grad():
            ours = module(torch.tensor([found["ids"]]))[0]
        tolerance = 1e-4 * ours.abs().max().item()
        torch.testing.assert_close(torch.tensor(found["logits"]), ours, rtol=0, atol=tolerance)


def test_what_has_no_standard_home_says_so() -> None:
    with pytest.raises(ModelError, match="'lstm' has no standard layout"):
        huggingface.layout(ModelConfig(kind="lstm"), V, T)
    with pytest.raises(ModelError, match="qk_norm: true"):
        huggingface.layout(ModelConfig(width=20, heads=3, head_width=8, qk_norm=False), V, T)
    with pytest.raises(ModelError, match="no standard layout"):
        huggingface.convert_state_dict(torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match="no place"):
        huggingface.convert_state_dict(LanguageModel(ModelConfig(kind="lstm", layers=1, width=16), V, T))
