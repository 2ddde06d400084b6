"""Retrieval: collections, documents, queries. Today it serves its operations endpoints only."""
