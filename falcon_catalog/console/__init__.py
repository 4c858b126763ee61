"""Commands for people, on any Iceberg REST catalog: ``ls``, ``show``, ``log`` and others.

They are clients: they know the catalog's address, and nothing of a store. PyIceberg and what it
needs are imported when a command runs, because they take longer to load than most commands take.
"""
