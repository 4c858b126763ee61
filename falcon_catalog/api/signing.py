"""Signatures for requests to a table's files over HTTP."""

import hashlib

from falcon import Request, Response

from falcon_catalog.api.request_log import note
from falcon_catalog.api.requests import read_object
from falcon_catalog.api.responses import send
from falcon_catalog.catalog import signing
from falcon_catalog.catalog.call import Call
from falcon_catalog.catalog.signing_config import STAGED
from falcon_catalog.identifiers import TableIdentifier


class SignResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/sign``, and below it the older path."""

    def on_post(
        self, req: Request, resp: Response, call: Call, identifier: TableIdentifier
    ) -> None:
        """Sign a request to an object store. The log has a digest of the key, to compare."""
        staged = req.get_param(STAGED)
        signed = signing.sign(call, identifier, read_object(req), staged=staged)
        digest = hashlib.blake2b((signed.key or "").encode(), digest_size=8).hexdigest()
        note(req, signed=signed.operation, key=digest if signed.key else None)
        # Java uses a response again for the same method and URI where this is "private".
        resp.set_header("Cache-Control", "private" if signed.may_be_cached else "no-cache")
        req.context.has_credentials = True  # no retry gets it from the store
        send(resp, {"uri": signed.uri, "headers": signed.headers})
