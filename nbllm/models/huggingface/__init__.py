"""Hugging Face, both ways: our networks in the layouts of transformers, theirs in ours, and theirs as they are.

layouts    which standard layout a network of ours has, with its config.json, or why none
settings   the way back: from their config.json to our network
names      the weights under their names and under ours
export     a folder that transformers loads with no nbllm installed
tokens     its tokenizer
source     where a model of theirs lies: a folder, or a name of the hub
load       the model there, or built anew from its config.json
foreign    a model of transformers behind the interface of ours
tags       what the labels of a token classifier mean
chat       a dialogue as the model's chat template puts it
"""
