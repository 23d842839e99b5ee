"""What is chosen for a slide unless somebody says otherwise; free of torch, so that the command line need not wait."""

TILE_MPP = 0.5  # micrometres per pixel of a tile
TILE_SIZE = 224  # pixels along the side of a tile
LEAST_TISSUE = 0.5  # share of a tile that must be tissue
LEAST_AREA = 0.02  # square millimetres of a piece of tissue
MASKS = 4096  # random subsets of the tiles
KEEP = 0.05  # share of the tiles in a subset
