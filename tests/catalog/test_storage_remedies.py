"""What a store says, and the line that an operator gets for it: no store is needed."""

from dataclasses import replace

import pytest

from falcon_catalog.catalog.storage_check import remedies
from falcon_catalog.catalog.storage_check.symptoms import recognise
from falcon_catalog.settings import StorageSettings

pytest.importorskip("obstore")

AWS = StorageSettings(
    location="s3://acme-lake/prod",
    region="eu-central-1",
    role_arn="arn:aws:iam::111122223333:role/lake-clients",
)
CHINA = StorageSettings(location="s3://acme-lake/prod", region="cn-north-1")
GOOGLE = StorageSettings(
    location="gs://acme-lake/prod", service_account="lake@acme.iam.gserviceaccount.com"
)
AZURE = StorageSettings(location="abfss://files@acme.dfs.core.windows.net/prod")
AMBIENT = "the identity of warehouse.lake.credential = ambient"


def status(number: int, body: str) -> Exception:
    """Return an error as obstore words it."""
    return Exception(f"Server returned non-2xx status code: {number} Reason: {body}")


def code(number: int, name: str) -> Exception:
    return status(number, f"<Error><Code>{name}</Code></Error>")


CASES = [
    (
        AWS,
        "create",
        code(403, "AccessDenied"),
        f"Allow s3:PutObject on arn:aws:s3:::acme-lake/prod/* to {AMBIENT}.",
    ),
    (
        CHINA,
        "list",
        code(403, "AccessDenied"),
        f"Allow s3:ListBucket on arn:aws-cn:s3:::acme-lake to {AMBIENT}.",
    ),
    (
        AWS,
        "reach",
        Exception("Received redirect without LOCATION, kind: BareRedirect"),
        "Set warehouse.lake.region to the region of the bucket acme-lake: it is not eu-central-1.",
    ),
    (
        AWS,
        "reach",
        code(400, "ExpiredToken"),
        (
            "Renew the credential that warehouse.lake.credential = ambient refers to: its "
            "session has expired."
        ),
    ),
    (
        AWS,
        "reach",
        code(503, "SlowDown"),
        (
            "Try again later: acme-lake.s3.eu-central-1.amazonaws.com is overloaded, or limits "
            "the rate of requests."
        ),
    ),
    (
        AWS,
        "create",
        code(501, "NotImplemented"),
        (
            "Upgrade the store, or use another one: it ignores If-None-Match, so that commits "
            "can overwrite each other. docs/storage.md has the versions."
        ),
    ),
    (
        AWS,
        "vend",
        Exception("An error occurred (PackedPolicyTooLarge) when calling the AssumeRole operation"),
        (
            "Shorten warehouse.lake.location to fewer than 400 characters; if it is short, "
            "sts.eu-central-1.amazonaws.com takes no session policies: set warehouse.lake.access "
            '= "signed".'
        ),
    ),
    (
        AWS,
        "vended-inside",
        code(403, "AccessDenied"),
        (
            "Allow s3:GetObject, s3:PutObject and s3:DeleteObject on "
            "arn:aws:s3:::acme-lake/prod/* and s3:ListBucket on arn:aws:s3:::acme-lake to "
            "arn:aws:iam::111122223333:role/lake-clients: a credential opens nothing that its "
            "role may not."
        ),
    ),
    (
        AWS,
        "reach",
        Exception("Unable to locate credentials"),
        (
            "Provide the credential that warehouse.lake.credential = ambient refers to: none was "
            "found."
        ),
    ),
    (
        GOOGLE,
        "list",
        status(403, "<Error><Code>AccessDenied</Code></Error>"),
        f"Grant storage.objects.list (roles/storage.objectUser) on gs://acme-lake to {AMBIENT}.",
    ),
    (
        GOOGLE,
        "vend",
        status(403, "{}"),
        (
            "Grant roles/iam.serviceAccountTokenCreator on lake@acme.iam.gserviceaccount.com to "
            f"{AMBIENT}."
        ),
    ),
    (
        GOOGLE,
        "vended-inside",
        status(403, ""),
        (
            "Grant roles/storage.objectUser on gs://acme-lake to "
            "lake@acme.iam.gserviceaccount.com, and turn on uniform bucket-level access."
        ),
    ),
    (
        AZURE,
        "create",
        code(403, "AuthorizationPermissionMismatch"),
        f"Assign Storage Blob Data Contributor on the container files to {AMBIENT}.",
    ),
    (
        AZURE,
        "vend",
        code(403, "AuthorizationPermissionMismatch"),
        f"Assign Storage Blob Delegator on the account acme.dfs.core.windows.net to {AMBIENT}.",
    ),
    (
        AZURE,
        "reach",
        code(403, "AuthenticationFailed"),
        (
            "Correct the credential that warehouse.lake.credential = ambient refers to: "
            "acme.blob.core.windows.net does not accept it."
        ),
    ),
    (
        AZURE,
        "reach",
        code(404, "ContainerNotFound"),
        (
            "Create the container files, or correct warehouse.lake.location: "
            "acme.blob.core.windows.net has no such container."
        ),
    ),
    (
        GOOGLE,
        "create",
        code(501, "NotImplemented"),
        (
            "Upgrade the store, or use another one: it ignores x-goog-if-generation-match, so that"
            " commits can overwrite each other. docs/storage.md has the versions."
        ),
    ),
    (
        GOOGLE,
        "vend",
        status(404, "not here"),
        (
            "Enable the APIs sts.googleapis.com and iamcredentials.googleapis.com, or correct"
            " warehouse.lake.sts_endpoint: sts.googleapis.com exchanges no token for one with an"
            ' access boundary. Or set warehouse.lake.access = "client".'
        ),
    ),
    (
        AZURE,
        "vend",
        status(501, "not here"),
        (
            "Correct warehouse.lake.endpoint: acme.blob.core.windows.net issues no user delegation"
            " keys, as accounts of Azure do; an emulator needs a credential with account_key. Or"
            ' set warehouse.lake.access = "client".'
        ),
    ),
    (
        GOOGLE,
        "reach",
        Exception("Received redirect without LOCATION, kind: BareRedirect"),
        "Correct warehouse.lake.endpoint: storage.googleapis.com sends requests elsewhere.",
    ),
]


@pytest.mark.parametrize(("settings", "check", "error", "remedy"), CASES)
def test_what_an_operator_can_do(
    settings: StorageSettings, check: str, error: Exception, remedy: str
) -> None:
    symptom = recognise(error, settings, of=check)
    assert remedies.remedy(symptom, check, remedies.Warehouse("lake", settings)) == remedy


def test_the_identity_is_named_as_the_store_calls_it() -> None:
    who = "arn:aws:sts::111122223333:assumed-role/falcon-catalog/i-0123"
    text = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: x"
    error = Exception(
        f"An error occurred (AccessDenied) when calling the AssumeRole operation: {text}"
    )
    symptom = recognise(error, AWS, of="vend")
    assert remedies.remedy(symptom, "vend", remedies.Warehouse("lake", AWS)) == (
        f"Allow sts:AssumeRole on {AWS.role_arn} to {who}, in its policy and in the role's trust"
        " policy at sts.eu-central-1.amazonaws.com."
    )


FLAT = replace(AZURE, hierarchical=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (AWS, ("session policies", "acme-lake is public", 'warehouse.lake.access = "signed"')),
        (
            GOOGLE,
            (
                "access boundaries",
                "uniform bucket-level access",
                'warehouse.lake.access = "client"',
            ),
        ),
        (AZURE, ("for a directory", "anonymous access", 'warehouse.lake.access = "client"')),
        (FLAT, ("hierarchical namespace", "warehouse.lake.hierarchical = true")),
    ],
)
def test_a_credential_that_opens_too_much_is_remedied_as_its_cloud_allows(
    settings: StorageSettings, words: tuple[str, ...]
) -> None:
    text = remedies.escaped(remedies.Warehouse("lake", settings))
    assert all(each in text for each in words), text
    assert ("session polic" in text) == (settings is AWS)
    assert ("signed" in text) == (settings is AWS)  # there are signatures for S3 only
    none = remedies.no_credentials(remedies.Warehouse("lake", settings))
    assert ("signed" in none) == (settings is AWS)
