"""The store on PostgreSQL: connections through asyncpg, schema, what servers tell each other."""
