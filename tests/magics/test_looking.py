"""%llm_attention, %llm_predictions and %llm_influence: line, cell and flags, and one line where something is wrong."""

from __future__ import annotations

import numpy as np
import pytest

import nbllm
from nbllm.inspection.maps import AttentionMaps
from tests.magics.shell import run_cell


def test_predictions_by_line_and_by_cell(shell, tiny):
    ran = run_cell(shell, "found = %llm_predictions tiny To be, --top 3 --layers")
    assert ran.error is None, ran.printed
    found = shell.user_ns["found"]
    assert found.tokens == ["T", "o", "␣", "b", "e", ","]
    assert found.lens.names == ["layer 0"]
    assert len(found.alternatives[0]) == 3
    assert found.bits_per_byte == pytest.approx(nbllm.load("tiny").score("To be,"), rel=1e-6)
    ran = run_cell(shell, "who = '世界'\n")
    ran = run_cell(shell, "%%llm_predictions last\n你好，{{who}}。\nTo")
    assert ran.value.tokens == [*"你好，世界。", "⏎", "T", "o"]
    assert "bits a token" in ran.printed
    assert "世" in ran.printed


def test_attention_by_line_and_by_cell(shell, tiny, tmp_path):
    ran = run_cell(shell, f"%llm_attention tiny To be, --head 1 --save {tmp_path / 'to.npz'}")
    assert ran.error is None, ran.printed
    whole = nbllm.load("tiny").attention("To be,")
    np.testing.assert_array_equal(ran.value.weights, whole.weights[:, 1:2])
    assert "6 tokens" in ran.printed
    saved = AttentionMaps.load(tmp_path / "to.npz")
    assert (saved.tokens, saved.weights.shape) == (["T", "o", "␣", "b", "e", ","], ran.value.weights.shape)
    found = run_cell(shell, "%%llm_attention tiny --step 3 --layer -1\n你好，世界。").value
    assert found.tokens == [*"你好，世界。"]
    assert not np.allclose(found.weights, nbllm.load("tiny").attention("你好，世界。").weights)
    written = run_cell(shell, "%llm_attention tiny To be --generate").value
    assert written.written
    run = nbllm.train("kept", data=["ab " * 600], size="tiny", steps=4, runner="inline", **{"probe.every": 2})
    assert run.state == "finished"
    kept = run_cell(shell, "%llm_attention kept")
    assert kept.error is None, kept.printed
    assert "Attention of kept" in kept.printed
    both = run_cell(shell, "%llm_attention tiny To be, --steps --beside kept")
    assert both.error is None, both.printed
    assert [source.name for source in both.value.sources] == ["tiny", "kept"]
    assert both.value.sources[0].first.tokens == ["T", "o", "␣", "b", "e", ","]
    assert all(source.slow for source in both.value.sources)


def test_influence_by_line_and_by_cell(shell, tiny):
    ran = run_cell(shell, '%llm_influence tiny "To be" --method occlusion')
    assert ran.error is None, ran.printed
    again = nbllm.load("tiny").influence("To be", "occlusion")
    np.testing.assert_allclose(ran.value.values, again.values, atol=1e-5)
    assert "<Influence of 6 tokens on 6 answers, by occlusion>" in ran.printed
    ran = run_cell(shell, "%%llm_influence tiny --method integrated --steps 128 --target T --baseline mean\nTo be")
    assert (ran.value.method, ran.value.target) == ("integrated", "T")
    early = run_cell(shell, "%llm_influence tiny To be --step 3").value
    assert not np.allclose(early.values, run_cell(shell, "%llm_influence tiny To be").value.values)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%llm_predictions", "No run is named"),
        ("%llm_attention tiny --layer 1", "no text to look at"),
        ("%llm_attention tiny", "kept no attention maps"),
        ("%llm_attention tiny To be --steps --layer 1", "--layer is for the maps of one step"),
        ("%llm_attention tiny To be --beside tyni", "There is no run 'tyni'."),
        ("%llm_attention tiny To be --layer 9", "There is no layer 9"),
        ("%llm_attention tiny To be --part middle", "Known: cross, decoder, encoder."),
        ("%llm_attention tiny To be --pair x", "one text at a time"),
        ("%llm_attention tiny To be --save x.pdf", "ends in no format"),
        ("%llm_predictions nobody To", "no run 'nobody'"),
        ("%llm_predictions tiny", "no text to look at"),
        ("%llm_predictions tiny To --top many", "--top"),
        ("%llm_predictions tiny To --source x", "Leave source out"),
        ("%llm_influence tiny To --method occlude", "Did you mean 'occlusion'?"),
        ("%llm_influence tiny To --target To", "'To' is 2 tokens here"),
        ("%%llm_influence tiny To\nbe", "Write %%llm_influence RUN, and the text below it."),
    ],
)
def test_a_mistake_is_one_line(shell, tiny, line, said):
    ran = run_cell(shell, line)
    assert ran.error is not None
    assert len(ran.error_lines) == 1
    assert said in ran.error_lines[0]


def test_lens_tokens_embeddings_and_similarity_by_line_and_by_cell(shell, tiny):
    lens = run_cell(shell, "%llm_lens tiny To be --max-tokens 6 --temperature 0").value
    assert lens.branches.text(lens.branches.all[0]) == "To be" + nbllm.load("tiny").generate(
        "To be", max_tokens=6, temperature=0
    )
    assert len(run_cell(shell, "%%llm_lens last --max-tokens 3\nTo").value.table()) == 1
    found = run_cell(shell, '%llm_tokens "To be" --tokenizers byte tiny').value
    assert found.table.tokens.tolist() == [5, 5]
    assert run_cell(shell, "%%llm_tokens --tokenizers byte\nTo\nbe").value.text == "To\nbe"
    near = run_cell(shell, "%llm_embeddings tiny e --top 3").value
    assert near.tokens == nbllm.load("tiny").embeddings().nearest("e", 3).tokens
    assert run_cell(shell, "%llm_embeddings tiny --analogy e o b").value.asked == "“o” - “e” + “b”"
    assert len(run_cell(shell, "%llm_embeddings tiny --map pca --search e").value.marked) >= 1
    alike = run_cell(shell, "%%llm_similarity tiny\nTo be\nnot to be\n").value
    assert alike.texts == ["To be", "not to be"]
    assert run_cell(shell, '%llm_similarity tiny "To be" "not"').value.values.shape == (2, 2)
