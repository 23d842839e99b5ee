"""Class probabilities of embeddings: heads that are trained here, and networks' own classifiers."""
