"""How the networks were trained, and how good they are."""
