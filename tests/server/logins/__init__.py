"""Accounts and logins, the server's side."""
