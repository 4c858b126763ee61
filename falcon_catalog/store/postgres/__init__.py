"""The PostgreSQL store: one database for servers on any number of hosts."""
