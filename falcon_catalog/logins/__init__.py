"""Logins of a person to catalogs, for commands that are clients of one.

``files`` keeps tokens, ``flows`` gets them from an identity provider, ``web`` sends the requests.
"""
