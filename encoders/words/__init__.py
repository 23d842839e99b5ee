"""Frozen encoders of text: sentences to vectors, and where the network works on tokens, which tokens it read.

encoder = load_text_encoder("minilm"); encoder(["A cat.", "A dog."]) is (2, D) float32. The kinds are rows of
`encoders.words.kinds.TEXT_KINDS`.
"""
