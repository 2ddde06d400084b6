"""Bounds of the RAG service; those of all services stand in `shared.limits`."""
