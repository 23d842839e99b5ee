"""Who looks: frozen image encoders with their preprocessing, pooling and checkpoints.

encoder = load("default"); encoder(pixels) takes (B, C, H, W) in [0, 1] of any size to (B, D) float32.
"""

from encoders.catalogue import EncoderRow, available
from encoders.checkpoints.report import CheckpointReport
from encoders.encoder import Encoder
from encoders.errors import EncoderError, EncoderWarning
from encoders.heads.base import Head
from encoders.heads.kinds import load_head
from encoders.heads.networks import network_head
from encoders.pooling import POOLINGS
from encoders.preprocess import Preprocess
from encoders.specs import load

__all__ = [
    "POOLINGS",
    "CheckpointReport",
    "Encoder",
    "EncoderError",
    "EncoderRow",
    "EncoderWarning",
    "Head",
    "Preprocess",
    "available",
    "load",
    "load_head",
    "network_head",
]
