"""Hugging Face, both ways: our networks in the layouts of transformers, theirs in ours, and theirs as they are.

layouts    which standard layout a network has, and its config.json; the way back
names      the weights under their names and under ours
export     a folder that transformers loads with no nbllm installed
tokens     the tokenizer of such a folder, both ways
source     where a model lies: a folder, or a name of the hub
foreign    a model of transformers behind the interface of ours
"""
