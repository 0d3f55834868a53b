"""Which of transformers' Auto classes finds a class of its."""

from __future__ import annotations

# The end of a class's name, to the class of transformers that finds it by a config.json.
AUTO_CLASSES = {
    "ForCausalLM": "AutoModelForCausalLM",
    "WithLMHeadModel": "AutoModelForMaskedLM",
    "LMHeadModel": "AutoModelForCausalLM",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForPreTraining": "AutoModelForPreTraining",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
    "ForQuestionAnsweringSimple": "AutoModelForQuestionAnswering",
    "ForConditionalGeneration": "AutoModelForSeq2SeqLM",
    "ForSeq2SeqLM": "AutoModelForSeq2SeqLM",
    "MTModel": "AutoModelForSeq2SeqLM",
}


def auto_class(architecture: str) -> str:
    """The class of transformers that finds a class by a config.json; nothing for one that none of ours is like."""
    return next((name for ending, name in AUTO_CLASSES.items() if architecture.endswith(ending)), "")
