"""The shapes of the process API of partner accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.identity.partners import PARTNER_SCOPES, Partner, PartnerCredentials
from gateway.identity.plans import Plan
from process_apis.partner_accounts.models import Account, AddPartner, ChangePartner

Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,100}$(?!\n)", max_length=100)]
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}$(?!\n)", max_length=40)]
Code = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,60}$(?!\n)", max_length=60)]
Scope = Annotated[str, Meta(pattern=r"^[a-z][a-z-]{0,30}:[a-z]{1,20}$(?!\n)", max_length=60)]
_RATE = r"^[1-9][0-9]{0,11} ?(?:/|per) ?(?:[1-9][0-9]{0,3} ?)?(?:second|minute|hour|day|month)s?$(?!\n)"
Rate = Annotated[str, Meta(pattern=_RATE, max_length=40)]
Number = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,1400}$(?!\n)", max_length=1400)]
Overlap = Annotated[int, Meta(ge=0, le=2_592_000)]
Instant = Annotated[datetime, Meta(tz=True)]


class PartnerInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new partner."""

    name: Name
    channel: Word
    plan: Word = "standard"
    accounts: Annotated[list[Code], Meta(min_length=1, max_length=1000)]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=20)] = msgspec.field(
        default_factory=lambda: list(PARTNER_SCOPES)
    )
    webhook_url: Annotated[str, Meta(max_length=1000)] | None = None
    webhook_events: Annotated[list[Annotated[str, Meta(max_length=60)]], Meta(max_length=50)] = []


class PartnerChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that may change of a partner."""

    channel: Word
    plan: Word
    accounts: Annotated[list[Code], Meta(min_length=1, max_length=1000)]


class SuspensionInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the door is shut."""

    reason: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,200}$(?!\n)", max_length=200)]


class KeyInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`replace_after_seconds` ends the youngest key then, and older ones now; without it the key comes beside them."""

    replace_after_seconds: Overlap | None = None


class SecretInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long the secrets before hold beside the new one."""

    overlap_seconds: Overlap = 86_400


class ScopesInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the client may do from now on."""

    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=20)]


class KeyOfClient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One public key (JWK, RFC 7517): EC (P-256 or P-384), OKP (Ed25519) or RSA (2048 bits or more)."""

    kty: Literal["EC", "OKP", "RSA"]
    kid: Code | None = None
    use: Literal["sig"] | None = None
    alg: Literal["ES256", "ES384", "EdDSA", "PS256", "RS256"] | None = None
    crv: Literal["P-256", "P-384", "Ed25519"] | None = None
    x: Number | None = None
    y: Number | None = None
    n: Number | None = None
    e: Number | None = None


class KeysInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public keys of a client, in place of those before. Its secrets end, unless they are kept."""

    keys: Annotated[list[KeyOfClient], Meta(min_length=1, max_length=10)]
    keep_secrets: bool = False

    def as_jwks(self) -> list[dict[str, Any]]:
        """The keys with what was given of each."""
        stored: list[dict[str, Any]] = msgspec.to_builtins(self.keys)
        return stored


class CertificatesInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The certificates of a client, in place of those before. Its secrets end, unless they are kept.

    `names` (`dns:`, `dn:`, `uri:`, `email:`, `ip:`) count in certificates that the proxy verified; `certificates` are
    PEM texts that count by themselves.
    """

    names: Annotated[list[Annotated[str, Meta(min_length=4, max_length=400)]], Meta(max_length=20)] = []
    certificates: Annotated[list[Annotated[str, Meta(max_length=20_000)]], Meta(max_length=10)] = []
    keep_secrets: bool = False


class LimitInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`rate` in cost units, such as ``600/minute``; `burst` is a tenth of it by default."""

    rate: Rate
    burst: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    mode: Literal["gcra", "exact"] = "gcra"
    when_store_down: Literal["open", "local_share", "closed"] = "local_share"


class LimitsInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The limit of a partner as a whole, and of operations (``METHOD /template``) with a bucket of their own.

    `streams` is how many streams of events a partner may have open at once.
    """

    default: LimitInput
    operations: Annotated[dict[Annotated[str, Meta(max_length=200)], LimitInput], Meta(max_length=100)] = {}
    streams: Annotated[int, Meta(ge=0, le=10_000)] = 10


class PlanInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan as it is to be."""

    description: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{0,200}$(?!\n)", max_length=200)] = ""
    limits: LimitsInput

    def as_stored(self) -> dict[str, Any]:
        """The limits as the record keeps them: what is default is left out."""
        stored: dict[str, Any] = msgspec.to_builtins(self.limits)
        return stored


class PlanView(Struct, kw_only=True):
    """A plan. `limits` may hold more than can be put here, where an operator wrote it."""

    name: str
    description: str
    limits: dict[str, Any]
    version: int
    changed_at: Instant


class PlanList(Struct, kw_only=True):
    """The plans of the record by name."""

    items: list[PlanView]


class ClientOut(Struct, kw_only=True):
    """An OAuth2 client of the partner."""

    id: str
    name: str
    scopes: list[str]
    disabled: bool


class KeyOut(Struct, kw_only=True):
    """A live API key: its visible part, and under which master key its digest is kept."""

    id: str
    client_id: str
    environment: str
    pepper_version: int
    created_at: Instant
    expires_at: Instant | None


class PartnerSummary(Struct, kw_only=True):
    """A partner."""

    id: str
    name: str
    state: str
    channel: str
    plan: str
    accounts: list[str]
    version: int
    created_at: Instant
    suspended_because: str | None


class PartnerView(PartnerSummary, kw_only=True):
    """A partner with what it shows at the door. No secret is in it."""

    clients: list[ClientOut]
    api_keys: list[KeyOut]


class PartnerMade(PartnerView, kw_only=True):
    """A new partner with its secrets, which are shown this once."""

    client_id: str
    client_secret: str
    api_key: str
    webhook_secret: str | None


class PartnerPage(Struct, kw_only=True):
    """A page of partners by id."""

    items: Annotated[list[PartnerSummary], Meta(max_length=100)]
    next_cursor: str | None


class KeyMade(Struct, kw_only=True):
    """An API key, shown this once."""

    api_key: str


class SecretMade(Struct, kw_only=True):
    """A client secret, shown this once."""

    client_id: str
    client_secret: str


class KeysMade(Struct, kw_only=True):
    """The ids of the keys that were registered: what an assertion's `kid` names."""

    kids: list[str]


def add_partner(data: PartnerInput) -> AddPartner:
    """What the process is asked."""
    return AddPartner(
        name=data.name,
        channel=data.channel,
        plan=data.plan,
        accounts=tuple(data.accounts),
        scopes=tuple(data.scopes),
        webhook_url=data.webhook_url,
        webhook_events=tuple(data.webhook_events),
    )


def change_partner(data: PartnerChange) -> ChangePartner:
    """What the process is asked."""
    return ChangePartner(channel=data.channel, plan=data.plan, accounts=tuple(data.accounts))


def plan_view(plan: Plan) -> PlanView:
    """A plan on the wire."""
    return PlanView(
        name=plan.name,
        description=plan.description,
        limits=plan.limits,
        version=plan.version,
        changed_at=plan.changed_at,
    )


def summary_view(partner: Partner) -> PartnerSummary:
    """A partner on the wire."""
    return PartnerSummary(**_summary(partner))


def partner_view(account: Account) -> PartnerView:
    """A partner with its clients and keys on the wire."""
    return PartnerView(**_details(account))


def partner_made(account: Account, made: PartnerCredentials) -> PartnerMade:
    """A new partner on the wire."""
    return PartnerMade(
        **_details(account),
        client_id=made.client_id,
        client_secret=made.client_secret,
        api_key=made.api_key,
        webhook_secret=made.webhook_secret,
    )


def _summary(partner: Partner) -> dict[str, Any]:
    state = "closed" if partner.disabled_at else "suspended" if partner.suspended_at else "active"
    return {
        "id": partner.partner_id,
        "name": partner.name,
        "state": state,
        "channel": partner.channel,
        "plan": partner.plan,
        "accounts": sorted(partner.accounts),
        "version": partner.version,
        "created_at": partner.created_at,
        "suspended_because": partner.suspended_because,
    }


def _details(account: Account) -> dict[str, Any]:
    return {
        **_summary(account.partner),
        "clients": [
            ClientOut(id=each.client_id, name=each.name, scopes=sorted(each.scopes), disabled=each.disabled)
            for each in account.clients
        ],
        "api_keys": [
            KeyOut(
                id=each.key_id,
                client_id=each.client_id,
                environment=each.environment,
                pepper_version=each.pepper_version,
                created_at=each.created_at,
                expires_at=each.expires_at,
            )
            for each in account.api_keys
        ],
    }
