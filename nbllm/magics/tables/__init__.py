"""The commands, a file a subject. Each holds a TABLE, which nbllm.magics.commands joins."""
