"""Which pictures of an archive one encoder takes for near and another does not, and what parts make the difference."""
