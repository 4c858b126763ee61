"""Apache Spark on the catalog: sessions, progress, and the back-fill's functions.

Nothing here imports pyspark until a session is started: it is an extra.
"""
