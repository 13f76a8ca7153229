"""What stores on SQL have in common: aggregates, lists, one group as one transaction.

Connections, schemas and what only one database can do are in `sqlite` and `postgres`.
"""
