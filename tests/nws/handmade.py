"""Answers made by hand, for what the simulator never does."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any


def serving(*answers: tuple[int, dict[str, str], bytes]) -> Any:
    """Serve these answers one after the other, the last one for ever."""
    left = list(answers)

    def app(_: Any, start_response: Any) -> list[bytes]:
        status, headers, body = left.pop(0) if len(left) > 1 else left[0]
        start_response(f"{status} Whatever", list(headers.items()))
        return [body]

    return app


def page(*features: Any, following: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Make a page of features, and the link to the next."""
    pagination = {"pagination": {"next": following}} if following else {}
    body = {"type": "FeatureCollection", "features": list(features)} | pagination
    return 200, {"Content-Type": "application/geo+json"}, json.dumps(body).encode()


def observation(moment: datetime) -> dict[str, Any]:
    """Make an observation with nothing but its time."""
    return {"id": f"o/{moment.isoformat()}", "properties": {"timestamp": moment.isoformat()}}


def times(features: list[dict[str, Any]]) -> list[str]:
    """List the features' times as they are told."""
    return [feature["properties"]["timestamp"] for feature in features]
