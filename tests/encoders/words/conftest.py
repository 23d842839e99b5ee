"""A small BERT with its tokenizer, in a folder as `save_pretrained` and sentence-transformers write it."""

import json
import os

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")

WORDS = ["the", "patient", "has", "no", "fever", "a", "cat", "un", "##happy", "##ness", ".", ",", "!", "é"]


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """Random weights of a BERT with 2 layers of 2 heads, and pooling by the mean to length 1."""
    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    transformers.BertTokenizer(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    write_pooling(folder, {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """A small open_clip model of two towers, without weights; prompts of eight tokens."""
    pytest.importorskip("open_clip", reason="the extra [text] is not installed")
    config = {
        "embed_dim": 12,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 10, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    folder = tmp_path_factory.mktemp("clip")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder


def write_pooling(folder, config, *, last="Normalize", longest=24):
    """modules.json and what it names."""
    names = ["Transformer", "Pooling", *([last] if last else [])]
    rows = [
        {"idx": place, "name": str(place), "path": f"{place}_{name}", "type": f"sentence_transformers.models.{name}"}
        for place, name in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest, "do_lower_case": False}))
