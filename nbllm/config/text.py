"""YAML in and out: the safe loader alone, and less than it allows."""

from __future__ import annotations

from typing import Any

import yaml

from nbllm.config.schema import FORMAT, RunConfig
from nbllm.errors import ConfigError


def to_yaml(config: RunConfig) -> str:
    """The whole configuration as YAML, every default written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def from_yaml(text: str, where: str) -> RunConfig:
    """Read what `to_yaml` wrote. Raises ConfigError with the place of the fault."""
    from nbllm.config.layers import validate

    content = parse_yaml(text, where)
    if content.get("format", FORMAT) != FORMAT:
        raise ConfigError(
            f"{where} has format {content['format']} and this nbllm reads format {FORMAT}.",
            "Type: pip install --upgrade nbllm",
        )
    return validate(content, where)


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """A YAML mapping by the safe loader; duplicate keys, aliases and broken text are ConfigErrors with their line."""
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(
            f"{where}{line} is not valid YAML: {problem}.", "Write 'key: value', as in model: {layers: 4}"
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{where} is not a set of keys.", "Write 'key: value', as in train: {lr: 3e-3}")
    return {str(key): value for key, value in content.items()}


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, without aliases (a few lines can grow to gigabytes) and without repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not used here", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = getattr(key_node, "value", None)
            if isinstance(key, str):
                if key in seen:
                    raise yaml.MarkedYAMLError(problem=f"'{key}' is given twice", problem_mark=key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep)
