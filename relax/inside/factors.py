"""A layer as a few parts: NMF or PCA of its cells, by scikit-learn.

A layer's activations are a matrix of cells by channels. A factor is a direction in the channels (`vectors`) with a map
that says how much of it each cell has (`maps`): cells that share a factor are alike to the layer. NMF adds parts that
are never negative, so it reads as "what is there" and needs activations that are never negative, as behind a ReLU. PCA
takes any layer; its components have both signs and no part is told from its opposite by more than the sign.

Source: Deep Feature Factorization (Collins, Achanta & Süsstrunk, ECCV 2018), NMF of activations; PCA of tokens as in
DINOv2 (Oquab et al., TMLR 2024), figure 1.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FITTED = 3136  # cells that a fit sees at most, 56 x 56; every cell gets its values
ROUNDS = 400  # of NMF
SMALL = 1e-3  # share of the energy below 0 that NMF may cut off without a word


@dataclass(frozen=True)
class Factors:
    """Parts of one layer, the largest share first.

    Attributes:
        method: "nmf" or "pca".
        maps: (F, gh, gw) float32, how much of each part a cell has; 0 or more for NMF.
        vectors: (F, D) float32, each of length 1: its direction in the channels.
        shares: (F,) float32 in [0, 1]: for PCA of the variance over the cells, for NMF of the summed squares of the
            reconstruction; what the factors leave out is in neither.
        note: What was done to the activations first; "" for nothing.
    """

    method: str
    maps: NDArray[np.float32]
    vectors: NDArray[np.float32]
    shares: NDArray[np.float32]
    note: str = ""


def factors_of(activations: NDArray[np.float32], method: str = "auto", count: int = 6, seed: int = 0) -> Factors | None:
    """Parts of a layer.

    Args:
        activations: (D, gh, gw), finite.
        method: A key of `FACTORS`.
        count: How many at most, 1 or more; a layer has no more than cells or channels.
        seed: Of the start of NMF.

    Returns:
        None for "none", for a layer of one cell, and for one that is the same everywhere.
    """
    channels, *grid = activations.shape
    cells = activations.reshape(channels, -1).T.astype(np.float64)
    if method == "none" or len(cells) < 2 or np.ptp(cells, 0).max() == 0:
        return None
    lowest = float(cells.min())
    chosen = method if method != "auto" else "pca" if lowest < 0 else "nmf"
    count = min(count, len(cells) - (chosen == "pca"), channels)
    sample = cells[_spread(len(cells))]
    values, vectors, shares, note = (_nmf if chosen == "nmf" else _pca)(cells, sample, count, seed)
    maps = values.T.reshape(len(vectors), *grid).astype(np.float32)
    return Factors(chosen, maps, vectors.astype(np.float32), shares.astype(np.float32), note)


def _spread(cells: int) -> NDArray[np.int64]:
    """Numbers of at most `FITTED` cells, evenly over all of them."""
    return np.unique(np.linspace(0, cells - 1, min(cells, FITTED)).round().astype(np.int64))


_Fit = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], str]


def _nmf(cells: NDArray[np.float64], sample: NDArray[np.float64], count: int, seed: int) -> _Fit:
    from sklearn.decomposition import NMF

    cut = float((np.minimum(cells, 0) ** 2).sum() / max((cells**2).sum(), 1e-300))
    note = f"values below 0, {cut:.0%} of the energy, were set to 0" if cut > SMALL else ""
    cells, sample = np.maximum(cells, 0), np.maximum(sample, 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Maximum number of iterations")
        fit = NMF(count, init="nndsvda", max_iter=ROUNDS, random_state=seed).fit(sample)
        values = fit.transform(cells)
    lengths = np.linalg.norm(fit.components_, axis=1)
    vectors = fit.components_ / np.where(lengths > 0, lengths, 1)[:, None]
    values = values * lengths
    energy = (values**2).sum(0)
    order = np.argsort(-energy, kind="stable")
    return values[:, order], vectors[order], energy[order] / max(energy.sum(), 1e-300), note


def _pca(cells: NDArray[np.float64], sample: NDArray[np.float64], count: int, seed: int) -> _Fit:
    from sklearn.decomposition import PCA

    fit = PCA(count, svd_solver="full", random_state=seed).fit(sample)
    return fit.transform(cells), fit.components_, np.nan_to_num(fit.explained_variance_ratio_), ""
