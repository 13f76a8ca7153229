"""The store on MongoDB: a journal of whole groups, rows as documents, snapshots by undoing (ADR 40)."""
