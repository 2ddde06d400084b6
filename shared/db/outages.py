"""What a database that is away makes of a query; anything else is a bug, or says something of the data."""

import asyncpg

# A server that restarts, crashes, is told to stop or has become the standby; connections that it took with it.
DATABASE_AWAY: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,  # how a query can end whose connection dies at that moment
    OSError,
    TimeoutError,
)
