"""The program that reads rows: one process for each preview and each SQL query.

It has no credentials, opens no file and no connection: it requests tables and parts of files from
the server that started it, over the one socket that it inherits, and the server decides.
"""
