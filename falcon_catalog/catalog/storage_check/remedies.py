"""What an operator can do about a failed check: one line that names identity, role and action."""

from dataclasses import dataclass

from falcon_catalog.catalog.storage_check.symptoms import Kind, Symptom
from falcon_catalog.locations import OBJECT_STORES, parse
from falcon_catalog.settings import StorageSettings
from falcon_catalog.settings.sections import WarehouseSettings
from falcon_catalog.settings.storage import ABFSS, GS, S3

_S3_ACTIONS = {
    "create": "s3:PutObject",
    "conditional-write": "s3:PutObject",
    "reach": "s3:GetObject",
    "read": "s3:GetObject",
    "list": "s3:ListBucket",
    "delete": "s3:DeleteObject",
    "clean-up": "s3:DeleteObject",
}
_GCS_PERMISSIONS = {
    "create": "storage.objects.create",
    "conditional-write": "storage.objects.create",
    "reach": "storage.objects.get",
    "read": "storage.objects.get",
    "list": "storage.objects.list",
    "delete": "storage.objects.delete",
    "clean-up": "storage.objects.delete",
}


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The warehouse that a remedy speaks of."""

    name: str
    settings: StorageSettings
    root: str = "location"
    """The setting that names the place in question."""

    def setting(self, name: str) -> str:
        """Return the key of a setting of this warehouse."""
        if isinstance(self.settings, WarehouseSettings):  # of the section [warehouse]
            return f"warehouse.{name}"
        return f"warehouse.{self.name}.{name}"

    @property
    def bucket(self) -> str:
        """The bucket or container."""
        authority = parse(self.settings.location, OBJECT_STORES).authority
        return authority.partition("@")[0]

    @property
    def partition(self) -> str:
        """AWS's partition of the region, as ARNs name it."""
        region = self.settings.region
        if region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if region.startswith("us-gov-") else "aws"

    @property
    def arn(self) -> str:
        """The ARN of the bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def objects_arn(self) -> str:
        """The ARN of all objects of the warehouse."""
        path = parse(self.settings.location, OBJECT_STORES).path
        return f"{self.arn}/{path}/*" if path else f"{self.arn}/*"

    def identity(self, symptom: Symptom) -> str:
        """Return whom the store sees: by its own name for it, or by the setting."""
        credential = f"the identity of {self.setting('credential')} = {self.settings.credential}"
        return symptom.identity or credential


def remedy(symptom: Symptom, check: str, of: Warehouse) -> str:
    """Return what to do about a symptom that a check met."""
    if symptom.kind == "denied":
        return _denied(symptom, check, of)
    settings = of.settings
    host = symptom.host
    region = symptom.region
    condition = "x-goog-if-generation-match" if settings.kind == GS else "If-None-Match"
    bucket = "container" if settings.kind == ABFSS else "bucket"
    texts: dict[Kind, str] = {
        "wrong-key": f"Correct the credential that {of.setting('credential')} ="
        f" {settings.credential} refers to: {host} does not accept it.",
        "wrong-region": f"Correct {of.setting('endpoint')}: {host} sends requests elsewhere."
        if settings.kind != S3
        else f'Set {of.setting("region")} = "{region}": the bucket {of.bucket} is there,'
        f" not in {settings.region}."
        if region
        else f"Set {of.setting('region')} to the region of the bucket {of.bucket}: it is not"
        f" {settings.region}.",
        "no-sts": _no_token_service(host, of)
        if settings.kind != S3
        else f'Set {of.setting("access")} = "signed": {host} has no AssumeRole, or takes no'
        f" session policy. Or set {of.setting('sts_endpoint')} to a service that does.",
        "no-conditional-write": f"Upgrade the store, or use another one: it ignores {condition},"
        " so that commits can overwrite each other. docs/storage.md has the versions.",
        "path-style": f"Set {of.setting('path_style')} = true: there is no host {host}.",
        "clock-skew": "Set this machine's clock, for example with timedatectl set-ntp true: the"
        " store refuses requests whose time differs from its own by more than 15 minutes.",
        "kms": f"Allow kms:GenerateDataKey and kms:Decrypt on"
        f" {', '.join(settings.kms_keys) or 'the key of the bucket'} to {of.identity(symptom)}, in"
        " its own policy and in the key's.",
        "no-bucket": f"Create the {bucket} {of.bucket}, or correct {of.setting(of.root)}: {host}"
        f" has no such {bucket}.",
        "tls": f"Set {of.setting('ca_file')} to the certificate of the authority that {host} has"
        f" its certificate from, or correct {of.setting('endpoint')}: its TLS is not trusted.",
        "proxy": f"Start the proxy {host} or correct HTTPS_PROXY and HTTP_PROXY, or add the"
        " store's host to NO_PROXY: the proxy does not answer.",
        "no-host": f"Correct {of.setting('endpoint')} or the name server: there is no host {host}.",
        "no-connection": f"Start the store or open the firewall, or correct"
        f" {of.setting('endpoint')}: {host} accepts no connection.",
        "timeout": f"Find out why {host} does not answer within {settings.timeout} seconds; a slow"
        f" store needs a larger {of.setting('timeout')}.",
        "throttled": f"Try again later: {host} is overloaded, or limits the rate of requests.",
        "expired": f"Renew the credential that {of.setting('credential')} = {settings.credential}"
        " refers to: its session has expired.",
        "no-credential": f"Provide the credential that {of.setting('credential')} ="
        f" {settings.credential} refers to: none was found.",
        "policy": f"Shorten {of.setting('location')} to fewer than 400 characters; if it is short,"
        f' {host} takes no session policies: set {of.setting("access")} = "signed".',
        "unknown": "Look into the log of the store: its answer is none that this check knows.",
    }
    return texts[symptom.kind]


def _no_token_service(host: str, of: Warehouse) -> str:
    alone = f'Or set {of.setting("access")} = "client".'
    if of.settings.kind == GS:
        return (
            f"Enable the APIs sts.googleapis.com and iamcredentials.googleapis.com, or correct"
            f" {of.setting('sts_endpoint')}: {host} exchanges no token for one with an access"
            f" boundary. {alone}"
        )
    return (
        f"Correct {of.setting('endpoint')}: {host} issues no user delegation keys, as accounts of"
        f" Azure do; an emulator needs a credential with account_key. {alone}"
    )


def no_credentials(of: Warehouse) -> str:
    """Return what to do about a storage that issues no temporary credentials."""
    other = '"signed" or "client"' if of.settings.kind == S3 else '"client"'
    return f"Set {of.setting('access')} = {other}."


def escaped(of: Warehouse) -> str:
    """Return what to do about a credential that opens more than its table, or may do more."""
    warning = (
        "Do not use this store with vended credentials, because clients could reach the tables of"
        " others: "
    )
    access, bucket = of.setting("access"), of.bucket
    if of.settings.kind == S3:
        return (
            f"{warning}it does not enforce session policies, or the bucket {bucket} is public."
            f' Close the bucket, or set {access} = "signed", and report this.'
        )
    if of.settings.kind == GS:
        return (
            f"{warning}it does not enforce access boundaries, or the bucket {bucket} is public."
            " Turn on uniform bucket-level access and public access prevention for it, or set"
            f' {access} = "client", and report this.'
        )
    if not of.settings.hierarchical:
        return (
            "Use a storage account with a hierarchical namespace, and"
            f" {of.setting('hierarchical')} = true: in another one a credential opens all of the"
            " container, and clients could reach the tables of others."
        )
    return (
        f"{warning}it does not enforce signatures for a directory, or the container {bucket} is"
        f" public. Turn off anonymous access to it, or set"
        f' {access} = "client", and report this.'
    )


def _denied(symptom: Symptom, check: str, of: Warehouse) -> str:
    who = of.identity(symptom)
    by_kind = {"s3": _denied_by_s3, "gs": _denied_by_gcs, "abfss": _denied_by_azure}
    return by_kind[of.settings.kind](symptom, check, of, who)


def _denied_by_s3(symptom: Symptom, check: str, of: Warehouse, who: str) -> str:
    if check == "vend":
        role = of.settings.role_arn
        outside = (
            f", and check that it asks for {of.setting('external_id')}"
            if of.settings.external_id
            else ""
        )
        if not role:
            return f"Allow {who} to call AssumeRole at {symptom.host}."
        return (
            f"Allow sts:AssumeRole on {role} to {who}, in its policy and in the role's trust"
            f" policy at {symptom.host}{outside}."
        )
    if check.startswith("vended"):
        return (
            f"Allow s3:GetObject, s3:PutObject and s3:DeleteObject on {of.objects_arn} and"
            f" s3:ListBucket on {of.arn} to {of.settings.role_arn or who}: a credential opens"
            " nothing that its role may not."
        )
    action = _S3_ACTIONS.get(check, "s3:GetObject")
    resource = of.arn if action == "s3:ListBucket" else of.objects_arn
    return f"Allow {action} on {resource} to {who}."


def _denied_by_gcs(_symptom: Symptom, check: str, of: Warehouse, who: str) -> str:
    if check == "vend":
        account = of.settings.service_account
        if account:
            return f"Grant roles/iam.serviceAccountTokenCreator on {account} to {who}."
        return f"Grant roles/storage.objectUser on gs://{of.bucket} to {who}."
    if check.startswith("vended"):
        return (
            f"Grant roles/storage.objectUser on gs://{of.bucket} to"
            f" {of.settings.service_account or who}, and turn on uniform bucket-level access."
        )
    permission = _GCS_PERMISSIONS.get(check, "storage.objects.get")
    return f"Grant {permission} (roles/storage.objectUser) on gs://{of.bucket} to {who}."


def _denied_by_azure(symptom: Symptom, check: str, of: Warehouse, who: str) -> str:
    account = parse(of.settings.location, OBJECT_STORES).authority.partition("@")[2]
    if symptom.code == "AuthorizationFailure":
        return (
            f"Admit this machine in the network rules of the account {account}, or correct the"
            f" credential that {of.setting('credential')} = {of.settings.credential} refers to."
        )
    if check == "vend":
        return f"Assign Storage Blob Delegator on the account {account} to {who}."
    if check.startswith("vended"):
        return (
            f"Assign Storage Blob Data Contributor on the container {of.bucket} to {who}; without"
            f" a hierarchical namespace set {of.setting('hierarchical')} = false."
        )
    return f"Assign Storage Blob Data Contributor on the container {of.bucket} to {who}."
