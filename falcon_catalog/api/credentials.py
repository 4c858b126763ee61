"""Credentials for a table's files over HTTP."""

from falcon import Request, Response

from falcon_catalog.api.responses import forbid_storing, send
from falcon_catalog.catalog import credentials
from falcon_catalog.catalog.call import Call
from falcon_catalog.errors import BadRequestError
from falcon_catalog.identifiers import TableIdentifier

_PARAMETER_CHARACTERS = 4096


class CredentialsResource:
    """``/v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials``."""

    def on_get(self, req: Request, resp: Response, call: Call, identifier: TableIdentifier) -> None:
        """Load credentials; for a plan's files they are read-only.

        The views that a client reads the table through make no difference.
        """
        for name in ("planId", "referenced-by"):
            if len(value := req.get_param(name) or "") > _PARAMETER_CHARACTERS:
                raise BadRequestError(
                    f"Invalid {name}: it has {len(value)} characters, at most"
                    f" {_PARAMETER_CHARACTERS} are allowed"
                )
        is_for_plan = bool(req.get_param("planId"))
        vended = credentials.load(call, identifier, read_only=is_for_plan)
        send(resp, {"storage-credentials": vended})
        if vended:
            forbid_storing(req, resp)
