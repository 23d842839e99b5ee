"""What an embedding loses without some cells of a layer: they are replaced by the mean of the picture's other cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from encoders.layouts import MAP_LAST, TOKENS
from encoders.trace import Layer, hooked, module_of, replaced, tensor_in
from relax.concepts.reading import LayerMaps


def removal_effects(reader: LayerMaps, view: Tensor, cells: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(M,) 1 - cosine between the embedding of a picture and that without each of M sets of its cells.

    Args:
        reader: The layer.
        view: (1, C, h, w).
        cells: (M, gh, gw) which are replaced, in each set.
    """
    whole = reader.encoder.embed(view).double()
    module = module_of(reader.encoder, reader.layer.name)
    hook = _without(reader.layer, torch.from_numpy(cells.reshape(len(cells), -1)))
    with hooked([module.register_forward_hook(hook)]):
        rest = reader.encoder.embed(view.expand(len(cells), *view.shape[1:])).double()
    return (1 - F.cosine_similarity(rest, whole, dim=1)).cpu().numpy()


def _without(layer: Layer, cells: Tensor) -> Callable[..., object]:
    """A hook that replaces cells (M, gh * gw) of each of M pictures by the mean of its others, or of all of them."""

    def hook(_: object, __: object, answer: object) -> object:
        tensor, entry = tensor_in(answer)
        assert tensor is not None  # noqa: S101 - the layer was told by it
        changed = tensor.clone(memory_format=torch.contiguous_format)
        if layer.layout == TOKENS:
            lying = changed[:, layer.prefix :]
        else:
            lying = changed.flatten(1, -2) if layer.layout == MAP_LAST else changed.flatten(2).mT  # views of it
        chosen = cells.to(lying.device)[..., None]
        kept = ~chosen | chosen.all(1, keepdim=True)
        mean = (lying * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True)
        lying.copy_(torch.where(chosen, mean.to(lying.dtype), lying))
        return replaced(answer, entry, changed)

    return hook
