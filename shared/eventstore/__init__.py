"""The append-only event store: one contract (`ports.EventStore`), on Postgres and in memory."""
