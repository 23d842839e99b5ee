"""The embeddings of a folder of images, kept with a FAISS index."""
