"""The store on one host: SQLite."""
