"""Explain the embedding of a text by its words: random subsets of them are shown, as RELAX shows parts of a picture."""

from __future__ import annotations

import torch

from encoders.words.loading import load_text_encoder
from relax.estimators.budget import Progress
from relax.io.images import ImageSource
from relax.progress import Silent
from relax.text import one_of
from relax.words.explanation import TextExplanation
from relax.words.question import TextQuestion, TextReference, TextSource
from relax.words.tables import ENCODER, KEEP, MASKS, METHODS


def explain_text(
    text: str,
    *,
    encoder: TextSource = ENCODER,
    reference: TextReference = None,
    foil: TextReference = None,
    image: ImageSource | None = None,
    similarity: str = "cosine",
    method: str = "relax",
    by: str = "words",
    fill: str = "auto",
    masks: int = MASKS,
    keep: float = KEEP,
    seed: int = 0,
    cut: bool = False,
    pooling: str = "auto",
    device: str | torch.device = "auto",
    progress: Progress | Silent | None = None,
) -> TextExplanation:
    """Explain which words make the embedding of a text, or its closeness to another text or to a picture.

        explanation = relax.explain_text("The patient has no fever.", encoder="minilm")
        explanation.importance, explanation.uncertainty, explanation.standard_error     # one number a word

    Args:
        text: The text, of up to 100,000 characters and 1,024 words.
        encoder: A spec such as "minilm", "hf:FOLDER" or "open_clip:MODEL:TAG", see
            `encoders.words.kinds.TEXT_KINDS`; or whatever else `encoders.words.loading.load_text_encoder` takes.
        reference: What the text is compared with: None is itself; another text; several, whose mean embedding is
            taken; or a vector (D,).
        foil: Likewise, whose similarity is subtracted.
        image: Instead of a reference a picture, for encoders with two towers.
        similarity: "cosine", "l2", "dot" or "rbf".
        method: "relax", "kernel_shap", "lime" or "leave_one_out", see `relax.words.tables.METHODS`.
        by: What is hidden as a whole: "words" (each with all its tokens), "tokens" or "sentences".
        fill: What stands where a word is hidden: "mask" (the network's mask token), "drop" (nothing) or "attention"
            (nothing attends to it). "auto" is "mask" where the network has one, else "drop".
        masks: Number of random subsets, or of samples of LIME and Kernel SHAP. Where all subsets are no more, they are
            taken instead, and "relax" and "kernel_shap" are exact: with 1,024 for up to ten words.
        keep: Chance that a word is shown, in (0, 1); for "relax".
        seed: The only source of randomness.
        cut: Whether of a text that is too long for the encoder the beginning is explained; words that it does not
            read are NaN. Else such a text is refused.
        pooling: How one vector is made of the tokens, see `encoders.words.kinds.POOLINGS`.
        device: A torch device, or "auto".
        progress: Called with (subsets done, subsets in all); otherwise as for `relax.explain`.

    Returns:
        One number a word, with its error where the method has one.

    Raises:
        ValueError: If the text is empty or too long, or a choice is impossible.
        ImageError, EncoderError: If the picture or the encoder cannot be used, or the text has too many tokens.
    """
    one_of("method", method, METHODS)
    question = TextQuestion.of(
        text,
        load_text_encoder(encoder, device, pooling, seed),
        reference=reference,
        foil=foil,
        image=image,
        similarity=similarity,
        by=by,
        fill=fill,
        cut=cut,
    )
    return question.answered(method, masks=masks, keep=keep, seed=seed, progress=progress)
