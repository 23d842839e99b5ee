"""Where the tests find what is not theirs."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"  # real images and models; absent on most machines, where their tests skip
DATA = SHARED / "data"
