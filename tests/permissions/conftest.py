"""A world that the tests of a module share."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from falcon_catalog.catalog import identity
from falcon_catalog.catalog.call import Principal
from falcon_catalog.catalog.identity import Realm
from tests.permissions.world import GROUP, World, world


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Serve a world. Tokens of the catalog itself name no groups: ann's do here."""
    identify = identity.identify

    def in_group(realm: Realm, token: str, *, wait: bool = True) -> Principal:
        found = identify(realm, token, wait=wait)
        if found.name != "ann":
            return found
        return dataclasses.replace(found, groups=frozenset({GROUP}))

    folder: Path = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch, world(folder) as made:
        patch.setattr(identity, "identify", in_group)
        yield made
