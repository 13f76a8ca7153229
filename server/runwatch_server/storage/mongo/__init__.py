"""The store on MongoDB: a journal of groups, rows as documents, snapshots by undoing (ADR 40)."""
