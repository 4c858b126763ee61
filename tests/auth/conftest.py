"""An identity provider, and what verifies its tokens."""

from collections.abc import Iterator

import pytest

from falcon_catalog.auth.oidc import Issuer
from falcon_catalog.settings import IssuerSettings
from tests.auth.issuer import Provider, provider


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as made:
        yield made


@pytest.fixture
def issuer(idp: Provider) -> Iterator[Issuer]:
    """The provider as the catalog knows it; its keys are there."""
    made = Issuer("corp", IssuerSettings(**idp.settings()))
    made.keys.refresh()
    yield made
    made.keys.stop()
