"""Logins of agents: accounts, the operations that make or renew them, what they store."""
