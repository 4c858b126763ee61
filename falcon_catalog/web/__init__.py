"""Web pages: HTML from templates, with htmx for what changes without a new page.

A second Falcon application in the same process, created at the first request of a page, so that a
server whose pages are never opened loads no templates. Pages read and change data only through the
verbs of ``catalog``, with the Call of their visitor, as the API does.
"""
