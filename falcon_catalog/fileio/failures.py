"""How requests to an object store fail, in words that show nothing of the store's answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from obstore.exceptions import UnauthenticatedError

REFUSALS = frozenset({"credentials", "denied"})
"""The reasons for which other credentials may help."""
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"(?:<Code>|\(code: )([A-Za-z0-9]{1,64})(?:</Code>|\))")
_DEFINITE = frozenset(range(400, 500)) - {408, 409, 412, 429}
_DENIED = frozenset(
    {"401", "403", "AccessDenied", "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
)
_THROTTLED = frozenset({"429", "503"})
_TEXTS = (
    ("NoSuchBucket", "no-bucket"),
    ("ContainerNotFound", "no-bucket"),
    ("bucket does not exist", "no-bucket"),
    ("status code:", "error"),
    ("kind: Timeout", "timeout"),
    ("dns error", "dns"),
    ("ConnectionRefused", "unreachable"),
    ("InvalidCertificate", "tls"),
    ("InvalidMessage", "tls"),
    ("BareRedirect", "redirect"),
    ("kind: Connect,", "unreachable"),
    ("HTTP error", "closed"),
)
"""What obstore's text says, and what it means; the first one holds."""
_FACTS = {
    "region": re.compile(r"<Region>([a-z0-9-]{1,64})</Region>|expecting '([a-z0-9-]{1,64})'"),
    "identity": re.compile(
        r"User: (arn:aws[a-z-]*:(?:iam|sts)::[0-9]+:[A-Za-z0-9_+=,.@/-]{1,512})"
    ),
    "action": re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)|<Code>(KMS)\."),
}
"""What an operator needs to know of the store's answer: none of it is a secret."""
_WORDS = {
    "closed": "closed the connection",
    "credentials": "was not asked, as the server's own credentials cannot be obtained",
    "denied": "refuses the server's own credentials",
    "dns": "cannot be reached: its host name has no address",
    "error": "failed",
    "no-bucket": "has no such bucket",
    "redirect": "has the bucket in another region",
    "throttled": "asks to slow down",
    "timeout": "does not answer in time",
    "tls": "cannot be reached: TLS failed",
    "unreachable": "cannot be reached",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """How a request to an object store failed."""

    reason: str
    """``missing``, or a key of the words above."""
    answer: str = ""
    """The store's own error code, or the HTTP status."""
    may_be_done: bool = True
    """Whether a write may have been done, or may still be."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """The region that the store expects, the identity that it sees, the action that it denies."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return how a request failed. obstore tells most failures apart in their text only."""
        text = str(error)
        code, found = _CODE.search(text), _STATUS.search(text)
        status = found[1] if found else ""
        answer = code[1] if code else status
        reason = next((reason for words, reason in _TEXTS if words in text), "error")
        if reason == "error":
            if isinstance(error, FileNotFoundError):
                reason = "missing"
            elif isinstance(error, TimeoutError):
                reason = "timeout"
            elif not _DENIED.isdisjoint((status, answer)):
                reason = "denied"
            elif status in _THROTTLED:
                reason = "throttled"
            elif isinstance(error, UnauthenticatedError):
                reason = "credentials"
        repeated = " retries, max_retries" in text
        refused = reason == "credentials" or (status != "" and int(status) in _DEFINITE)
        facts = {
            name: m[m.lastindex or 0] for name, each in _FACTS.items() if (m := each.search(text))
        }
        return cls(reason, answer, may_be_done=repeated or not refused, facts=facts)

    def __str__(self) -> str:
        words = _WORDS.get(self.reason, self.reason)
        return f"{words} ({self.answer})" if self.answer else words
