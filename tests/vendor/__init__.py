"""Vendors that are none: a server that logins go to, and programs that log in as the real ones do.

``python -m tests.vendor FOLDER`` serves one by itself, and puts the programs into FOLDER/bin.
"""
