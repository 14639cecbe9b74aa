"""Names of options, variables, headers and keys: whether what they hold is a secret."""

from __future__ import annotations

import re
from functools import lru_cache

WORD = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]*|[0-9]+")
ALONE = {
    "password", "passwords", "passwd", "passphrase", "passcode", "pass", "pwd", "pw", "psk", "secret",
    "secrets", "token", "tokens", "apikey", "appkey", "authkey", "credential", "credentials", "creds", "bearer",
    "authtoken", "signature", "sig", "otp", "totp", "jwt", "accesstoken", "accesskey", "secretkey",
    "privatekey", "authorization", "cookie", "auth",
}  # fmt: skip
"""A name that is one of these words, or whose last word is, or that has it before a word that does not change it."""
GLUED = re.compile(r"(?:password|passwd|passphrase|secret|token|apikey|[a-z]pass|[a-z]pwd|[a-z]pw)\Z")
"""Words that are written together with others: PGPASSWORD, SSHPASS, bindpw."""
OTHERS = re.compile(r"(?:by|com|sur|tres|under|over|multi|low|high|band|single|two|one|out)pass\Z|oldpwd\Z")
KEYS = {
    "api", "access", "private", "secret", "account", "auth", "encryption", "signing", "shared", "master",
    "storage", "app", "session", "client", "consumer", "deploy", "license", "service", "subscription",
    "application", "integration",
}  # fmt: skip
"""What a key is a secret of: api-key, AccountKey."""
ABOUT = {
    "file", "files", "path", "dir", "stdin", "prompt", "env", "length", "policy", "policies", "expire",
    "expires", "expiry", "age", "max", "min", "hint", "name", "type", "url", "uri", "endpoint", "fd", "command",
    "cmd", "ttl", "server", "mode", "method", "timeout", "manager", "store", "format", "scheme",
    "authentication", "required", "check", "header", "helper", "audience", "issuer", "review", "jar", "plugin",
    "provider", "domain", "class", "limit", "count", "rotation", "size", "through", "thru", "fds", "rate", "filter",
}  # fmt: skip
"""Last words that say something of a secret but hold none: password-file, token-url."""
DIRECTORIES = {"PWD", "OLDPWD"}
NEEDS_MORE = {"auth", "cookie", "sig", "signature"}
"""Words that are only a secret as the last of a name that has others, or in an address or header (see `hidden_by`)."""


@lru_cache(1024)
def is_secret(name: str) -> bool:
    """True of `--db-password`, `auth.token`, `PGPASSWORD`, `accessKey`; false of `--password-file`, `PWD`."""
    if len(name) > 128 or name in DIRECTORIES:
        return False
    words = [word.lower() for word in WORD.findall(name)]
    while words and words[-1].isdigit():
        words.pop()
    if not words or words[-1] in ABOUT:
        return False
    for place, word in enumerate(words):
        if word in ALONE and not (word in NEEDS_MORE and (len(words) == 1 or place < len(words) - 1)):
            return True
        if word in ("key", "keys") and place and words[place - 1] in KEYS:
            return True
    return GLUED.search(words[-1]) is not None and not OTHERS.search(words[-1])


@lru_cache(256)
def is_header(name: str) -> bool:
    """Whether a header of HTTP holds a secret: Authorization, Cookie, X-Api-Key, PRIVATE-TOKEN."""
    lower = name.lower()
    return (
        lower in ("authorization", "proxy-authorization", "cookie", "set-cookie", "authentication")
        or is_secret(name)
        or (
            lower.startswith("x-")
            and lower.rpartition("-")[2] in ("key", "auth", "token", "secret", "signature", "session", "password")
        )
    )
