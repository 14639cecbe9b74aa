"""Secrets that are known by their look, wherever they stand: tokens of well-known services, private keys, webhooks.

The prefixes are those that the services publish, so that leaked tokens can be found (GitHub's, GitLab's, Slack's,
Stripe's … documentation of token formats).
"""

from __future__ import annotations

import re

REDACTED = b"[redacted]"

TOKEN = re.compile(
    rb"(?<![A-Za-z0-9_])(?:"
    rb"gh[opsur]_[A-Za-z0-9]{6,255}"  # GitHub
    rb"|github_pat_[A-Za-z0-9_]{6,255}"
    rb"|gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-[\w-]{6,255}"  # GitLab
    rb"|xox[abeoprs]-[\w-]{6,255}|xapp-[\w-]{6,255}"  # Slack
    rb"|(?:sk|rk|pk|whsec)_(?:live|test)_[A-Za-z0-9]{6,255}|whsec_[A-Za-z0-9+/=]{6,255}"  # Stripe
    rb"|sk-[A-Za-z0-9_-]{16,255}"  # OpenAI, Anthropic and others
    rb"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,20}"  # AWS
    rb"|AIza[\w-]{20,60}|ya29\.[\w.-]{10,512}|GOCSPX-[\w-]{10,60}"  # Google
    rb"|SG\.[\w-]{10,40}\.[\w-]{10,80}"  # SendGrid
    rb"|npm_[A-Za-z0-9]{10,60}|pypi-[\w-]{10,512}|rubygems_[a-f0-9]{10,60}"
    rb"|d(?:op|oo|or)_v1_[a-f0-9]{10,80}|dckr_(?:pat|oat)_[\w-]{10,80}|hf_[A-Za-z0-9]{10,60}"
    rb"|hv[sbr]\.[\w-]{10,255}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{10,60}|NRAK-[A-Z0-9]{10,60}|glsa_[\w]{10,80}"
    rb"|AGE-SECRET-KEY-1[A-Z0-9]{10,80}|EAAC[A-Za-z0-9]{20,255}|key-[0-9a-f]{32}|lin_api_[A-Za-z0-9]{10,60}"
    rb"|sq0(?:atp|csp)-[\w-]{10,60}|tskey-[\w-]{10,100}|dapi[0-9a-f]{32}|PMAK-[\w-]{10,100}|pul-[0-9a-f]{20,60}"
    rb"|atlasv1\.[\w-]{10,100}|ATATT[\w=-]{10,255}|ATBB[\w=-]{10,255}|figd_[\w-]{10,100}|sntrys_[\w=+/-]{10,255}"
    rb"|\d{8,10}:AA[\w-]{30,40}"  # Telegram
    rb"|eyJ[\w-]{6,1024}\.[\w-]{4,4096}(?:\.[\w-]{0,1024}){0,4}"  # JSON Web Tokens (RFC 7519)
    rb")"
)
WEBHOOK = re.compile(
    rb"(hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/\d{1,30}/"
    rb"|[\w.-]{0,80}webhook\.office\.com/webhookb2/|outlook\.office\.com/webhook/|chat\.googleapis\.com/v1/spaces/"
    rb"|api\.telegram\.org/bot|hooks\.zapier\.com/hooks/catch/|maker\.ifttt\.com/trigger/[\w-]{1,80}/with/key/)([^\s\"'<>]{1,2048})"
)
PRIVATE_KEY = re.compile(rb"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)(.*?)(?=-----END|\Z)", re.DOTALL)
STARTS = (
    b"ghp_", b"gho_", b"ghs_", b"ghu_", b"ghr_", b"github_pat_", b"glpat-", b"gldt-", b"glrt-", b"glcbt-",
    b"glptt-", b"glft-", b"glsoat-", b"glimt-", b"glagent-", b"xox", b"xapp-", b"sk_", b"rk_", b"pk_",
    b"whsec_", b"sk-", b"AKIA", b"ASIA", b"ABIA", b"ACCA", b"AIza", b"ya29.", b"GOCSPX-", b"SG.", b"npm_",
    b"pypi-", b"rubygems_", b"dop_v1_", b"doo_v1_", b"dor_v1_", b"dckr_", b"hf_", b"hvs.", b"hvb.", b"hvr.",
    b"shpat_", b"shpca_", b"shppa_", b"shpss_", b"NRAK-", b"glsa_", b"AGE-SECRET-", b"EAAC", b"key-",
    b"lin_api_", b"sq0", b"tskey-", b"dapi", b"PMAK-", b"pul-", b"atlasv1.", b"ATATT", b"ATBB", b"figd_",
    b"sntrys_", b"eyJ", b"api.telegram.", b"chat.googleapis.", b"maker.ifttt.",
)  # fmt: skip
"""How the above begin."""
LONG = re.compile(rb"[\w.-]{10,}")
INSIDE = (b":AA", b"BEGIN", b"hook")


def may_have_token(text: bytes) -> bool:
    """False for nearly every text without one, at little cost."""
    for run in LONG.findall(text):
        if run.startswith(STARTS):
            return True
    return any(mark in text for mark in INSIDE)


def hide_tokens(text: bytes) -> bytes:
    """The same object if there are none."""
    if not may_have_token(text):
        return text
    if b"PRIVATE KEY" in text:
        text = PRIVATE_KEY.sub(rb"\1" + REDACTED, text)
    if b"/" in text:
        text = WEBHOOK.sub(rb"\1" + REDACTED, text)
    return TOKEN.sub(REDACTED, text)
