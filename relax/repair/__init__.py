"""From a shortcut to its repair: what rests on a mark, and the same without it."""
