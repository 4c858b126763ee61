"""The operations table: the name of each operation, and the privileges that it needs.

The docstring of a function that returns needs is the operation's line in docs/permissions.md, and
so is what verbs check themselves. A route without a row is an error at startup
(``app.create_app``). For operations that name entities in the request's body, the body is read
before authorization.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import falcon

from falcon_catalog.api.requests import (
    decode_again,
    read_flag,
    read_namespace,
    read_object,
    read_objects,
    read_optional_object,
)
from falcon_catalog.catalog import signing
from falcon_catalog.catalog.authorization import SERVER, Kind, Need
from falcon_catalog.catalog.privileges import Privilege
from falcon_catalog.catalog.signing_config import STAGED
from falcon_catalog.errors import BadRequestError
from falcon_catalog.identifiers import Namespace, TableIdentifier

Params = Mapping[str, Any]
"""The names in the URL, resolved: ``namespace``, ``identifier`` and so on."""
Needs = Callable[[falcon.Request, Params], list[Need]]

_LOCATION = "location"
"""The property of a namespace below which tables are created."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API."""

    name: str
    needs: Privilege | Needs | None
    """The privilege that it needs on the entity in the URL, or a function that returns all needs;
    None for an operation that needs none; getConfig needs a visible warehouse."""
    inline: bool = False
    """Whether the event loop may respond, because it usually needs no I/O."""
    changes: bool = False
    """Whether it changes what a warehouse holds, which one that is read-only refuses."""
    by_verb: str = ""
    """What the verb itself checks, in its transaction, where there are no needs before."""


def _create_namespace(req: falcon.Request, _params: Params) -> list[Need]:
    """`create` on the parent, or on the warehouse."""
    return [Need("create", Namespace.of(read_object(req).get("namespace")).parent)]


def _list_namespaces(req: falcon.Request, _params: Params) -> list[Need]:
    """`list` on the parent, or on the warehouse; shows what the caller can list."""
    parent = read_namespace(req, "parent")
    # The second is listed if the first does not exist; it may not be a valid name.
    with contextlib.suppress(BadRequestError):
        if (decoded := decode_again(parent)) != parent:
            return [Need("list", parent, instead=Need("list", decoded))]
    return [Need("list", parent)]


def _drop_namespace(_req: falcon.Request, params: Params) -> list[Need]:
    """`drop` on the namespace."""
    return [Need("drop", params["namespace"], removes=True)]


def _update_properties(req: falcon.Request, params: Params) -> list[Need]:
    """`write` on the namespace; for `location` also `grant`."""
    body, namespace = read_object(req), params["namespace"]
    needs = [Need("write", namespace)]
    named = [body.get(field) for field in ("removals", "updates")]
    if any(isinstance(each, list | dict) and _LOCATION in each for each in named):
        needs.append(Need("grant", namespace))  # tables of others would lie elsewhere
    return needs


def _update_table(req: falcon.Request, params: Params) -> list[Need]:
    """`write` on the table; `create` on the namespace if the commit creates it."""
    return [_commit_need(read_object(req), params["identifier"])]


def _commit_transaction(req: falcon.Request, _params: Params) -> list[Need]:
    """`write` on each table; `create` on its namespace if the commit creates it."""
    changes = read_objects(read_object(req), "table-changes", required=True)
    return [_commit_need(c, TableIdentifier.of(c.get("identifier"))) for c in changes]


def _commit_need(change: Params, identifier: TableIdentifier) -> Need:
    requirements = read_objects(change, "requirements", required=False)
    if any(each.get("type") == "assert-create" for each in requirements):
        return Need("create", identifier.namespace)
    return Need("write", identifier)


def _rename(kind: Kind, req: falcon.Request, _params: Params) -> list[Need]:
    """`drop` on the source, and `create` on the namespace of the destination; see moves."""
    body = read_object(req)
    source = TableIdentifier.of(body.get("source"))
    destination = TableIdentifier.of(body.get("destination"))
    into = Need("create", destination.namespace)
    return [Need("drop", source, kind, removes=True, into=into), into]


def _undrop(req: falcon.Request, params: Params) -> list[Need]:
    """`drop` on what was dropped, and `create` on the namespace that it returns to; see moves."""
    name, drop = read_optional_object(req).get("identifier"), params["dropped"]
    if name is None:
        into = Need("create", drop, "home", removes=True)
    else:
        into = Need("create", TableIdentifier.of(name).namespace)
    return [Need("drop", drop, "dropped", removes=True, into=into), into]


def _purge_dropped(_req: falcon.Request, params: Params) -> list[Need]:
    """`drop` and `write` on what was dropped."""
    drop = params["dropped"]
    return [
        Need("drop", drop, "dropped", removes=True),
        Need("write", drop, "dropped", removes=True),
    ]


def _drop_table(req: falcon.Request, params: Params) -> list[Need]:
    """`drop` on the table; with `purgeRequested` also `write`."""
    table = params["identifier"]
    needs = [Need("drop", table, removes=True)]
    if read_flag(req, "purgeRequested"):
        needs.append(Need("write", table, removes=True))
    return needs


def _drop(kind: Kind, _req: falcon.Request, params: Params) -> list[Need]:
    """`drop` on it."""
    return [Need("drop", params["identifier"], kind, removes=True)]


def _unregister(_req: falcon.Request, params: Params) -> list[Need]:
    """`drop` and `describe` on the table."""
    table = params["identifier"]  # whose metadata is in the response
    return [Need("drop", table, removes=True), Need("describe", table, removes=True)]


def _register(req: falcon.Request, params: Params) -> list[Need]:
    """`create` on the namespace; with `overwrite` also `drop` and `write` on what it replaces."""
    body = read_object(req)
    needs = [Need("create", params["namespace"])]
    if body.get("overwrite") is True and isinstance(body.get("name"), str):
        replaced = TableIdentifier(params["namespace"], body["name"])
        needs.append(Need("drop", replaced, if_exists=True))
        needs.append(Need("write", replaced, if_exists=True))
    return needs


def _put_function(_req: falcon.Request, params: Params) -> list[Need]:
    """`write` on the function; `create` on the namespace if it is new."""
    function = params["identifier"]
    new = Need("create", function.namespace)
    return [Need("write", function, "function", if_exists=True, instead=new)]


def _sign(req: falcon.Request, params: Params) -> list[Need]:
    """`select` on the table; to write, `write`; `create` on the namespace while it is staged."""
    body, table = read_object(req), params["identifier"]
    properties = body.get("properties")
    staged = isinstance(properties, dict) and STAGED in properties
    instead = None
    if staged or req.get_param(STAGED):
        instead = Need("create", table.namespace)  # it is being created
    elif body.get("method") == "HEAD":
        instead = Need("select", table, "dropped")
    needs = [Need("select", table, instead=instead)]
    if not signing.only_reads(body):
        needs.append(Need("write", table, instead=instead))
    return needs


def _report_metrics(req: falcon.Request, params: Params) -> list[Need]:
    """`select` on the table; of a commit, `write`."""
    is_commit = read_object(req).get("report-type") == "commit-report"
    return [Need("write" if is_commit else "select", params["identifier"])]


def _check_storage(_req: falcon.Request, _params: Params) -> list[Need]:
    """`admin` on the server."""
    return [Need("list", None), Need("admin", SERVER)]


def _audit(req: falcon.Request, _params: Params) -> list[Need]:
    """`grant` on the table, the namespace or the warehouse that the query names."""
    return audit_needs(read_namespace(req, "namespace"), req.get_param("table"))


def audit_needs(namespace: Namespace | None, table: str | None) -> list[Need]:
    """Return what reading the audit log of a warehouse, a namespace or a table needs."""
    if namespace is None or not table:
        return [Need("grant", namespace)]
    identifier = TableIdentifier(namespace, table)
    function = Need("grant", identifier, "function")
    return [Need("grant", identifier, instead=Need("grant", identifier, "view", instead=function))]


def _by_verb(_req: falcon.Request, _params: Params) -> list[Need]:
    return []


def _administer(_req: falcon.Request, _params: Params) -> list[Need]:
    """`admin` on the server."""
    return [Need("admin", SERVER)]


def _administer_or_own(req: falcon.Request, params: Params) -> list[Need]:
    """`admin` on the server; none for oneself."""
    caller = getattr(req.context, "principal", None)
    own = caller is not None and caller.name == params["principal"]
    return [] if own else [Need("admin", SERVER)]


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("getConfig", None, inline=True),
        Operation("getToken", None),
        Operation("live", None),
        Operation("ready", None),
        Operation("metrics", None),
        Operation("whoami", None),
        Operation("getLogin", None),
        Operation("listNamespaces", _list_namespaces),
        Operation("createNamespace", _create_namespace, changes=True),
        Operation("loadNamespaceMetadata", "describe"),
        Operation("namespaceExists", "list", inline=True),
        Operation("dropNamespace", _drop_namespace, changes=True),
        Operation("updateProperties", _update_properties, changes=True),
        Operation("listTables", "list"),
        Operation("createTable", "create", changes=True),
        Operation("loadTable", "describe", inline=True),
        Operation("tableExists", "list", inline=True),
        Operation("updateTable", _update_table, changes=True),
        Operation("dropTable", _drop_table, changes=True),
        Operation("unregisterTable", _unregister, changes=True),
        Operation("registerTable", _register, changes=True),
        Operation("renameTable", partial(_rename, "table"), changes=True),
        Operation("commitTransaction", _commit_transaction, changes=True),
        Operation("planTableScan", "select"),
        Operation("fetchPlanningResult", "select"),
        Operation("cancelPlanning", "list"),
        Operation("fetchScanTasks", "select"),
        Operation("loadCredentials", "select"),
        Operation("signRequest", _sign),
        Operation("reportMetrics", _report_metrics),
        Operation("listViews", "list"),
        Operation("createView", "create", changes=True),
        Operation("loadView", "describe"),
        Operation("viewExists", "list", inline=True),
        Operation("replaceView", "write", changes=True),
        Operation("dropView", partial(_drop, "view"), changes=True),
        Operation("registerView", "create", changes=True),
        Operation("renameView", partial(_rename, "view"), changes=True),
        Operation("listFunctions", "list"),
        Operation("loadFunction", "describe"),
        Operation("putFunction", _put_function, changes=True),
        Operation("dropFunction", partial(_drop, "function"), changes=True),
        Operation("listDropped", "list"),
        Operation("undrop", _undrop, changes=True),
        Operation("purgeDropped", _purge_dropped, changes=True),
        Operation("listMetricsReports", "list"),
        Operation("checkStorage", _check_storage),
        Operation("listEvents", "describe"),
        Operation("listWarehouseAudit", _audit),
        Operation("listAudit", _administer),
        Operation("listPrincipals", _administer),
        Operation("createPrincipal", _administer),
        Operation(
            "getPrincipal", _administer_or_own, by_verb="`admin` on the server; none for oneself"
        ),
        Operation("updatePrincipal", _administer),
        Operation("deletePrincipal", _administer),
        Operation(
            "rotateSecret", _administer_or_own, by_verb="`admin` on the server; none for oneself"
        ),
        Operation("listRoles", _administer),
        Operation("createRole", _administer),
        Operation("getRole", _administer),
        Operation("renameRole", _administer),
        Operation("deleteRole", _administer),
        Operation("updateMembers", _administer),
        Operation("listGroups", _administer),
        Operation("updateGroups", _administer),
        Operation(
            "listGrants",
            _by_verb,
            by_verb="`grant` on the entity; for a principal `admin`, for oneself none",
        ),
        Operation(
            "updateGrants",
            _by_verb,
            by_verb="`grant` on each entity; see who may grant",
        ),
        Operation(
            "explainAccess",
            _by_verb,
            by_verb="`grant` on the entity, or `admin`; `list` for oneself",
        ),
        Operation("getEntity", _by_verb, by_verb="`describe` on the entity"),
        Operation(
            "updateEntity", _by_verb, by_verb="`grant` on the entity; `admin` for the server"
        ),
        Operation("getOpenApi", None),
    )
}
