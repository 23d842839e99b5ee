"""Which pictures of an archive stand behind an answer, and which rules describe it."""
