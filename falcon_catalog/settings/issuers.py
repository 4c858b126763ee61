"""Settings of an identity provider: ``[auth.issuer.NAME]``."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from falcon_catalog import rules
from falcon_catalog.settings.describing import setting

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""All that are accepted: asymmetric ones only."""


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """An identity provider whose tokens are accepted."""

    url: str = setting(
        None,
        "The issuer, exactly as its tokens name it in iss; its keys are found from there.",
        rules.issuer_url,
        derived="(required)",
    )
    audiences: tuple[str, ...] = setting(
        None,
        "Audiences that a token may be meant for, of which it must name one.",
        rules.some_words,
        derived="(required)",
    )
    aliases: tuple[str, ...] = setting(
        (), "Other names that the issuer gives itself in iss, with the same keys.", rules.words
    )
    algorithms: tuple[str, ...] = setting(
        ALGORITHMS, "Signature algorithms that are accepted.", rules.some_of(*ALGORITHMS)
    )
    audience_claim: str = setting(
        "aud", "Claim with the audience; client_id for Amazon Cognito.", rules.text
    )
    subject_claim: str = setting(
        "sub",
        "Claim with what identifies the user and never changes; oid for Entra ID.",
        rules.text,
    )
    name_claim: str = setting(
        "preferred_username", "Claim with a name to show; it identifies nobody.", rules.text
    )
    groups_claim: str = setting(
        "",
        "Claim with the user's groups; a path such as realm_access/roles leads into objects.",
        rules.optional(rules.text),
    )
    required_claims: tuple[str, ...] = setting(
        (), "Claims that a token must have: NAME=VALUE.", rules.pairs
    )
    token_types: tuple[str, ...] = setting(
        (), "Types (typ) that a token may have, such as at+jwt; empty: any.", rules.words
    )
    max_lifetime: int = setting(
        86400,
        "Seconds: a token that is valid for longer from now on is rejected.",
        rules.whole(60, 366 * 86400),
    )
    auto_create: bool = setting(
        True,
        "Whether a user is added, without any grants, with the first valid token; if not, only"
        " known users are accepted.",
        rules.boolean,
    )
    admin_groups: tuple[str, ...] = setting(
        (), "Groups whose members have the privilege admin on the server.", rules.words
    )
    ca_file: str = setting(
        "", "PEM file of a private authority that the issuer's certificate is from.", rules.path
    )
    login_client_id: str = setting(
        "",
        "Client id that falcon-catalog login uses: of a public client of the issuer.",
        rules.word_or_empty,
    )
    login_scopes: tuple[str, ...] = setting(
        ("openid", "offline_access"), "Scopes that falcon-catalog login requests.", rules.words
    )
    login_parameters: tuple[str, ...] = setting(
        (),
        "Parameters that falcon-catalog login adds to its requests: NAME=VALUE, such as"
        " audience=… or resource=….",
        rules.pairs,
    )
    given: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where each value that is no default comes from, by the name of its setting."""
