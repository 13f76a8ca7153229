"""The store on SQLite, through apsw."""
