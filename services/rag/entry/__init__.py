"""The ways into the RAG service."""
