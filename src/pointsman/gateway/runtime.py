"""A revision made ready for the request path: plain dicts, bit masks, request heads, connection pools.

A Runtime is never changed. A call leases the current one when it begins and finishes on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

from pointsman import __version__
from pointsman.core.capability import ALL_CAPABILITIES, Task
from pointsman.core.decision import (
    Clearance,
    Condition,
    Numbering,
    Plan,
    Rights,
    Terms,
    clearance_of,
    terms_of,
)
from pointsman.core.document import Document, Header, KeySpec, ProviderSpec
from pointsman.core.names import MODEL_ID
from pointsman.core.policy import OnFailure, PolicySpec, WorkflowSpec
from pointsman.core.record import RouteKind
from pointsman.core.target import ApprovalState, TargetSpec
from pointsman.dialects.contract import Dialect, Failure
from pointsman.providers.contract import Family
from pointsman.providers.credentials import CredentialError, resolve_credential
from pointsman.providers.families import FAMILIES
from pointsman.routing.health import Health
from pointsman.routing.strategies import order_of
from pointsman.transport import Deadlines, Endpoint, Pool, PoolLimits, TlsContexts, proxy_from_environment

_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{3,4})")
"""What a vendor appends to a floating id to name the version that answered."""

USER_AGENT = f"pointsman/{__version__}"


class LinkError(ValueError):
    """A revision cannot be made ready on this machine. The message names the object."""


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Who calls: a key, compiled. `allow` None means every registered name."""

    name: str
    team: str
    allow: frozenset[str] | None
    rights: Rights
    expires: float


class Provider:
    """A provider made ready: where it is, and its secret, which no repr shows."""

    __slots__ = ("_secret", "base_path", "endpoint", "family", "problem", "spec")

    def __init__(self, spec: ProviderSpec, env: Mapping[str, str]) -> None:
        self.spec = spec
        family = FAMILIES.get(spec.family)
        if family is None:
            raise LinkError(f"provider {spec.name}: this version knows no family {spec.family!r}")
        self.family: Family = family
        proxy = spec.proxy
        try:
            endpoint, self.base_path = Endpoint.parse(spec.base_url, ca_file=spec.ca_file, proxy=proxy)
            if proxy is None:
                found = proxy_from_environment(env, endpoint.scheme, endpoint.host)
                if found is not None:
                    endpoint, self.base_path = Endpoint.parse(spec.base_url, ca_file=spec.ca_file, proxy=found)
        except ValueError as error:
            raise LinkError(f"provider {spec.name}: {error}") from error
        self.endpoint = endpoint
        self.problem = ""
        self._secret: str | None = None
        try:
            self._secret = resolve_credential(spec.credential, env)
        except CredentialError as error:
            # The other providers still serve; calls that would need this one are refused with the reason.
            self.problem = str(error)

    def __repr__(self) -> str:
        return f"Provider({self.spec.name!r})"

    def redact(self, text: bytes) -> bytes:
        """`text` without this provider's secret."""
        secret = self._secret
        if secret is None:
            return text
        return text.replace(secret.encode(), b"[redacted]")

    def cleaned(self, failure: Failure) -> Failure:
        """`failure` without this provider's secret in what the upstream said."""
        secret = self._secret
        if secret is None or (secret not in failure.said and secret not in failure.detail):
            return failure
        return msgspec.structs.replace(
            failure,
            detail=failure.detail.replace(secret, "[redacted]"),
            said=failure.said.replace(secret, "[redacted]"),
        )

    def head(self, upstream_path: str, model: str, accept: str) -> bytes:
        """Request line and headers up to the value of content-length, which is appended per call."""
        spec = self.spec
        endpoint = self.endpoint
        port = "" if endpoint.port == (443 if endpoint.scheme == "https" else 80) else f":{endpoint.port}"
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        lines = [
            f"POST {self.family.path(spec, self.base_path, upstream_path, model)} HTTP/1.1",
            f"host: {host}{port}",
            f"user-agent: {USER_AGENT}",
            f"accept: {accept}",
            "content-type: application/json",
            *(f"{name}: {value}" for name, value in self.family.auth_headers(self._secret)),
            *(f"{name}: {value}" for name, value in spec.headers),
            "content-length: ",
        ]
        return "\r\n".join(lines).encode("latin-1")


class PoolBook:
    """Pools and health of targets, which outlive the revisions that use them."""

    def __init__(self, limits: PoolLimits) -> None:
        self.tls = TlsContexts()
        self._limits = limits
        self._pools: dict[tuple[str, Endpoint], Pool] = {}
        self._health: dict[str, Health] = {}

    def pool(self, target: str, endpoint: Endpoint) -> Pool:
        """The pool of one target: a bulkhead, so that a hung model cannot starve its neighbours."""
        pool = self._pools.get((target, endpoint))
        if pool is None:
            pool = self._pools[target, endpoint] = Pool(endpoint, self._limits, tls=self.tls)
        return pool

    def health(self, target: str) -> Health:
        """The health of one target."""
        return self._health.setdefault(target, Health())

    def retire(self, keep: Callable[[str, Endpoint], bool]) -> None:
        """Drain and forget the pools that no revision in use needs any more."""
        for key in [key for key in self._pools if not keep(*key)]:
            self._pools.pop(key).close()

    def close(self) -> None:
        """Drain all pools."""
        for pool in self._pools.values():
            pool.close()


class Target:
    """A target made ready. Implements `core.decision.Choosable`."""

    __slots__ = (
        "_book",
        "_heads",
        "_pool",
        "_pool_name",
        "clearance",
        "condition",
        "headers",
        "health",
        "inject_usage",
        "name",
        "provider",
        "registered",
        "spec",
        "stream_deadlines",
        "unary_deadlines",
    )

    def __init__(
        self, spec: TargetSpec, clearance: Clearance, provider: Provider, book: PoolBook, *, registered: bool = True
    ) -> None:
        self.spec = spec
        self.name = spec.name
        # Names that callers make up share one pool and one health: nothing here may grow with what they type.
        self._pool_name = spec.name if registered else f"{spec.provider}:"
        if provider.problem:
            clearance = msgspec.structs.replace(clearance, servable=False, credentialed=False)
        self.clearance = clearance
        self.provider = provider
        self.registered = registered
        self.inject_usage = provider.spec.stream_usage
        self.headers = ((b"x-pointsman-target", spec.name.encode()),)
        self.health = book.health(self._pool_name)
        self.condition: Callable[[float], Condition] = self.health.condition
        self._book = book
        self._pool: Pool | None = None
        self._heads: dict[tuple[str, bool], bytes] = {}
        t = spec.timeouts
        # A unary answer's headers come when all of it is ready: only the total time can tell that it is late.
        self.unary_deadlines = Deadlines(connect=t.connect, first_byte=t.total, idle=t.idle, total=t.total)
        self.stream_deadlines = Deadlines(connect=t.connect, first_byte=t.first_token, idle=t.idle, total=t.total)

    def __repr__(self) -> str:
        return f"Target({self.name!r})"

    @property
    def pool(self) -> Pool:
        """This target's connections, made at first use."""
        if self._pool is None:
            self._pool = self._book.pool(self._pool_name, self.provider.endpoint)
        return self._pool

    def drifted(self, reported: str) -> bool:
        """Whether the provider says that another model answered: neither this id nor a dated form of it."""
        model = self.spec.model
        return bool(reported) and reported != model and not _DATED.fullmatch(reported.removeprefix(model))

    def head(self, dialect: Dialect, stream: bool) -> bytes:
        """The request head for a dialect, up to the value of content-length."""
        head = self._heads.get((dialect.name, stream))
        if head is None:
            accept = "text/event-stream" if stream else "application/json"
            head = self.provider.head(dialect.upstream_path, self.spec.model, accept)
            self._heads[dialect.name, stream] = head
        return head


class Route(msgspec.Struct, frozen=True):
    """What a name leads to. `headers` are the truth headers that do not depend on the call."""

    kind: RouteKind
    name: str
    workflow: str
    plan: Plan
    headers: tuple[tuple[bytes, bytes], ...]


class Runtime:
    """Everything that serving one revision takes."""

    def __init__(self, header: Header, document: Document, book: PoolBook, env: Mapping[str, str]) -> None:
        self.revision = header.revision
        self.hash = header.hash
        self.principals: dict[bytes, Principal] = {}
        self.routes: dict[str, Route] = {}
        self.providers = {spec.name: Provider(spec, env) for spec in document.providers}
        self.targets: dict[str, Target] = {}
        self.model_lists: dict[tuple[frozenset[str] | None, Rights], bytes] = {}
        self._tags = Numbering()
        self._provider_bits = Numbering()
        self._book = book
        self._document: Document | None = document
        self._unregistered = document.unregistered

    def __repr__(self) -> str:
        return f"Runtime(revision={self.revision}, hash={self.hash[:12]!r})"

    def link(self) -> Iterator[None]:
        """Make everything ready, a step at a time so that calls can be served in between. Raises LinkError."""
        try:
            yield from self._link()
        except LinkError:
            raise
        except (LookupError, ValueError) as error:
            # The compiler has proved that this cannot happen; a document from elsewhere may still say it.
            raise LinkError(f"the revision refers to what it does not have: {error!r}") from error

    def _link(self) -> Iterator[None]:
        document = self._document
        if document is None:
            return
        for count, spec in enumerate(document.targets):
            self._add_target(spec)
            if count % 100 == 99:
                yield
        if self._unregistered is not None and self._unregistered.provider not in self.providers:
            raise LinkError(f"unregistered: no provider {self._unregistered.provider}")
        plans = {spec.name: spec for spec in document.policies}
        for alias in document.aliases:
            self._add_single(RouteKind.ALIAS, alias.name, alias.target)
        for count, workflow in enumerate(document.workflows):
            self._add_workflow(workflow, plans[workflow.policy])
            if count % 100 == 99:
                yield
        allow_sets = [frozenset(names) for names in document.allow_sets]
        for count, key in enumerate(document.keys):
            self._add_key(key, allow_sets)
            if count % 200 == 199:
                yield
        self._document = None

    def _add_target(self, spec: TargetSpec) -> None:
        try:
            provider = self.providers[spec.provider]
        except KeyError as error:
            raise LinkError(f"target {spec.name}: no provider {spec.provider}") from error
        target = Target(spec, clearance_of(spec, self._tags, self._provider_bits), provider, self._book)
        self.targets[spec.name] = target
        self._add_single(RouteKind.TARGET, spec.name, spec.name)

    def _add_single(self, kind: RouteKind, name: str, target: str) -> None:
        """A route straight to one target: its own candidate, retried but never replaced."""
        plan = Plan(
            policy="",
            candidates=(self.targets[target],),
            weights=(1,),
            terms=Terms(),
            on_failure=_DIRECT,
            order=None,
            tags=self._tags,
        )
        self.routes[name] = Route(kind, name, "", plan, self._headers(""))

    def _add_workflow(self, workflow: WorkflowSpec, policy: PolicySpec) -> None:
        plan = Plan(
            policy=policy.name,
            candidates=tuple(self.targets[c.target] for c in policy.candidates),
            weights=tuple(c.weight for c in policy.candidates),
            terms=terms_of(self._tags, policy.require, workflow.require),
            on_failure=policy.on_failure,
            order=order_of(policy.strategy),
            tags=self._tags,
        )
        self.routes[workflow.name] = Route(
            RouteKind.WORKFLOW, workflow.name, workflow.name, plan, self._headers(policy.name)
        )

    def _headers(self, policy: str) -> tuple[tuple[bytes, bytes], ...]:
        revision = (b"x-pointsman-revision", str(self.revision).encode())
        return (revision, (b"x-pointsman-policy", policy.encode())) if policy else (revision,)

    def _add_key(self, key: KeySpec, allow_sets: list[frozenset[str]]) -> None:
        self.principals[bytes.fromhex(key.hash)] = Principal(
            name=key.name,
            team=key.team,
            allow=None if key.allow is None else allow_sets[key.allow],
            rights=Rights(self._provider_bits.mask(key.providers), self._tags.mask(key.require_tags)),
            expires=float("inf") if key.expires is None else key.expires,
        )

    def unregistered_route(self, name: str, task: Task) -> Route | None:
        """The route of a name that nobody registered, when the registry says to observe such names."""
        if self._unregistered is None or not MODEL_ID.fullmatch(name):
            return None
        provider = self.providers[self._unregistered.provider]
        target_name = f"{provider.spec.name}:{name}"
        if target_name in self.targets:
            # It is registered: what its approval, tags or end say must not be got round by its bare name.
            return None
        spec = TargetSpec(
            name=target_name,
            provider=provider.spec.name,
            model=name,
            task=task,
            state=ApprovalState.APPROVED,
            unknown=ALL_CAPABILITIES,
        )
        clearance = clearance_of(spec, self._tags, self._provider_bits)
        target = Target(spec, clearance, provider, self._book, registered=False)
        plan = Plan("", (target,), (1,), Terms(), _DIRECT, None, self._tags)
        return Route(RouteKind.UNREGISTERED, name, "", plan, self._headers(""))

    def in_use(self, target: str, endpoint: Endpoint) -> bool:
        """Whether this revision may still need the pool of `target` at `endpoint`."""
        if target.endswith(":"):
            provider = self.providers.get(target[:-1])
            return provider is not None and provider.endpoint == endpoint
        known = self.targets.get(target)
        return known is not None and known.provider.endpoint == endpoint


_DIRECT = OnFailure(retry=1, fallback=False)
