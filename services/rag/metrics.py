"""The RAG service's metrics, beside those of the process that every service exposes."""
