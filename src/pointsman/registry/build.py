"""From the file as sent to the document as stored: references resolved, values read, every mistake noted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from itertools import chain
from operator import attrgetter
from typing import TypeVar

from msgspec import UNSET

from pointsman.catalog.fact import Fact
from pointsman.core.capability import capability_mask
from pointsman.core.document import AliasSpec, Document, KeySpec, ProviderSpec, Unregistered
from pointsman.core.policy import RETRYABLE_BY_DEFAULT, Candidate, OnFailure, PolicySpec, Requirements, WorkflowSpec
from pointsman.core.target import TargetSpec
from pointsman.registry import addresses, values
from pointsman.registry.families import FAMILIES, LATER_FAMILIES
from pointsman.registry.file import (
    KeyEntry,
    OnFailureEntry,
    PolicyEntry,
    ProviderEntry,
    RegistryFile,
    RequireEntry,
    TargetEntry,
)
from pointsman.registry.problem import Findings, Path, shown
from pointsman.registry.suggest import Suggest
from pointsman.registry.targets import FactSource, TargetBuilder

T = TypeVar("T")
Named = TypeVar("Named", ProviderSpec, TargetSpec, AliasSpec, PolicySpec, WorkflowSpec)

_CHAIN_SHOWN = 5


class Builder:
    """Builds one document. Every problem goes to `findings`; entries that cannot be built are left out."""

    def __init__(
        self,
        file: RegistryFile,
        findings: Findings,
        suggest: Suggest,
        catalog: FactSource,
        today: date,
        env: Mapping[str, str] | None,
    ) -> None:
        self._file = file
        self._findings = findings
        self._suggest = suggest
        self._env = env
        self._targets = TargetBuilder(findings, catalog, today)
        self._allow_sets: dict[tuple[str, ...], int] = {}
        self._unknown_names: dict[tuple[str, ...], list[int]] = {}

    def build(self) -> tuple[Document, dict[str, dict[str, Fact]]]:
        """The document and the source of every fact of every target."""
        file = self._file
        self._names()
        providers = {name: self._provider(name, entry) for name, entry in file.providers.items()}
        targets, facts = self._all_targets(providers)
        policies = {name: self._policy(name, entry) for name, entry in file.policies.items()}
        document = Document(
            providers=_by_name(providers.values()),
            targets=_by_name(targets.values()),
            aliases=_by_name(self._aliases(targets)),
            policies=_by_name(policies.values()),
            workflows=_by_name(self._workflows()),
            keys=tuple(self._keys()),
            allow_sets=tuple(self._allow_sets),
            unregistered=self._unregistered(),
        )
        return document, facts

    def _value(self, reader: Callable[[str], T], text: str, path: Path) -> T | None:
        """What `reader` makes of a text; None, and a problem, when it cannot be used."""
        try:
            return reader(text)
        except values.BadValueError as bad:
            self._findings.problem(bad.code, path, bad.message, bad.mend)
            return None

    def _dangling(self, kind: str, name: str, known: Iterable[str], path: Path, said: str) -> None:
        """Note a name that leads nowhere, unless it would lead somewhere once another mistake is mended."""
        if self._findings.spoilt(kind, name):
            self._findings.spoil(path)
            return
        mend = self._suggest.of(name, known, f"define it under `{kind}:`, or correct the name")
        self._findings.problem("dangling_reference", path, f"{said} names `{shown(name)}`, which does not exist", mend)

    # -- names ----------------------------------------------------------------------------------------------

    def _names(self) -> None:
        """The form of names, and one meaning for each name that applications may send."""
        file = self._file
        sections: tuple[tuple[str, Iterable[str]], ...] = (
            ("providers", file.providers),
            ("aliases", file.aliases),
            ("policies", file.policies),
            ("workflows", file.workflows),
        )
        for section, names in sections:
            for name in names:
                self._value(values.name, name, (section, name))
        for name in file.aliases:
            for section, others in (("workflow", file.workflows), ("target", file.targets)):
                if name in others:
                    self._findings.problem(
                        "duplicate_name",
                        ("aliases", name),
                        f"`{shown(name)}` is an alias and a {section}: a request for it would mean two things",
                        "rename one of them",
                    )

    # -- providers and targets ------------------------------------------------------------------------------

    def _provider(self, name: str, entry: ProviderEntry) -> ProviderSpec:
        path: Path = ("providers", name)
        family = FAMILIES.get(entry.family)
        if family is None:
            self._unknown_family(entry.family, (*path, "family"))
        base_url = family.base_url if family is not None else None
        if entry.base_url is not UNSET:
            base_url = self._value(addresses.base_url, entry.base_url, (*path, "base_url"))
        elif base_url is None and family is not None:
            self._findings.problem(
                "missing_key", path, f"family `{entry.family}` has no address of its own", "add `base_url:`"
            )
        credential = None
        if entry.credential is not UNSET:
            credential = self._value(values.credential, entry.credential, (*path, "credential"))
        self._doubts(name, base_url, credential, path)
        proxy = None
        if entry.proxy is not UNSET:
            proxy = self._value(addresses.proxy_url, entry.proxy, (*path, "proxy"))
        return ProviderSpec(
            name=name,
            family=entry.family,
            base_url=base_url or "",
            credential=credential,
            region=None if entry.region is UNSET else entry.region,
            ca_file=None if entry.ca_file is UNSET else entry.ca_file,
            proxy=proxy,
            stream_usage=entry.stream_usage,
            headers=self._headers(entry.headers, (*path, "headers")),
        )

    def _headers(self, sent: Mapping[str, str], path: Path) -> tuple[tuple[str, str], ...]:
        headers: dict[str, str] = {}
        for key, text in sent.items():
            try:
                lower, value = addresses.header(key, text)
            except values.BadValueError as bad:
                self._findings.problem(bad.code, (*path, key), bad.message, bad.mend)
                continue
            if lower in headers:
                self._findings.problem(
                    "bad_header", (*path, key), f"the header `{lower}` is there twice", "keep one of them"
                )
            headers[lower] = value
        return tuple(sorted(headers.items()))

    def _unknown_family(self, family: str, path: Path) -> None:
        known = ", ".join(f"`{name}`" for name in FAMILIES)
        if family in LATER_FAMILIES:
            self._findings.problem(
                "not_yet_supported",
                path,
                f"the family `{family}` is not supported in this version",
                f"use {known}; many vendors also offer an OpenAI-compatible address",
            )
        else:
            self._findings.problem(
                "unknown_word",
                path,
                f"`{shown(family)}` is not a provider family",
                self._suggest.of(family, FAMILIES, f"use {known}"),
            )

    def _doubts(self, name: str, base_url: str | None, credential: str | None, path: Path) -> None:
        """What is not wrong, but will hurt."""
        variable = values.env_name(credential) if credential is not None else None
        if variable is not None and self._env is not None and not self._env.get(variable):
            self._findings.warning(
                "credential_not_set",
                (*path, "credential"),
                f"the environment variable {shown(variable)} of provider {shown(name)} is not set here",
                "set it where Pointsman starts; until then targets of this provider are refused",
            )
        if (
            credential is not None
            and base_url
            and base_url.startswith("http://")
            and not addresses.is_loopback(base_url)
        ):
            self._findings.warning(
                "plain_http",
                (*path, "base_url"),
                f"the credential of provider {shown(name)} travels unencrypted",
                "use https://, or remove the credential",
            )

    def _all_targets(
        self, providers: Mapping[str, ProviderSpec]
    ) -> tuple[dict[str, TargetSpec], dict[str, dict[str, Fact]]]:
        targets: dict[str, TargetSpec] = {}
        facts: dict[str, dict[str, Fact]] = {}
        for name, sent in self._file.targets.items():
            provider = providers.get(name.partition(":")[0])
            built = self._targets.build(name, sent if sent is not None else TargetEntry(), provider)
            if built is None:
                continue
            spec, sources = built
            if provider is None:
                self._dangling("providers", spec.provider, providers, ("targets", name), f"target {shown(name)}")
                continue
            targets[name] = spec
            facts[name] = sources
        return targets, facts

    # -- aliases, policies, workflows -----------------------------------------------------------------------

    def _aliases(self, targets: Mapping[str, TargetSpec]) -> Iterator[AliasSpec]:
        for name, target in self._file.aliases.items():
            path: Path = ("aliases", name)
            if target in self._file.targets:
                if target in targets:
                    yield AliasSpec(name, target)
            elif target in self._file.aliases:
                way = self._alias_chain(name)
                self._findings.problem(
                    "alias_of_alias",
                    path,
                    f"alias {' → '.join(shown(n) for n in way)} does not point to a target",
                    "point every alias straight at a target",
                )
            else:
                self._dangling("targets", target, self._file.targets, path, f"alias {shown(name)}")

    def _alias_chain(self, name: str) -> list[str]:
        """The way from an alias on, until it ends, comes round, or is long enough to be understood."""
        way = [name]
        while (following := self._file.aliases.get(way[-1])) is not None:
            if len(way) == _CHAIN_SHOWN:
                return [*way, "…"]
            way.append(following)
            if following in way[:-1]:
                break
        return way

    def _policy(self, name: str, entry: PolicyEntry) -> PolicySpec:
        path: Path = ("policies", name)
        candidates: dict[str, Candidate] = {}
        places: list[int] = []
        for index, sent in enumerate(entry.candidates):
            candidate = Candidate(sent) if isinstance(sent, str) else Candidate(sent.target, sent.weight)
            place = (*path, "candidates", index)
            if candidate.target in candidates:
                self._findings.problem(
                    "duplicate_candidate",
                    place,
                    f"policy {shown(name)} names {shown(candidate.target)} twice",
                    "remove one; `on_failure: {retry: …}` tries a target again",
                )
            elif candidate.target not in self._file.targets:
                self._dangling("targets", candidate.target, self._file.targets, place, f"policy {shown(name)}")
            else:
                candidates[candidate.target] = candidate
                places.append(index)
        if len(places) < len(entry.candidates):
            self._findings.keep((*path, "candidates"), places)
        return PolicySpec(
            name=name,
            candidates=tuple(candidates.values()),
            require=self._require(entry.require, (*path, "require")),
            strategy=entry.strategy,
            on_failure=_on_failure(entry.on_failure),
        )

    def _require(self, entry: RequireEntry, path: Path) -> Requirements:
        tags = [self._value(values.tag, tag, (*path, "tags", index)) for index, tag in enumerate(entry.tags)]
        return Requirements(
            tags=tuple(dict.fromkeys(tag for tag in tags if tag is not None)),
            capabilities=capability_mask(entry.capabilities),
            unknown_capabilities=entry.unknown_capabilities,
            tiers=tuple(dict.fromkeys(entry.tiers)),
            task=None if entry.task is UNSET else entry.task,
            context_window=None if entry.context_window is UNSET else entry.context_window,
            max_output=None if entry.max_output is UNSET else entry.max_output,
        )

    def _workflows(self) -> Iterator[WorkflowSpec]:
        policies = self._file.policies
        for name, entry in self._file.workflows.items():
            path: Path = ("workflows", name)
            if entry.policy not in policies:
                self._dangling("policies", entry.policy, policies, (*path, "policy"), f"workflow {shown(name)}")
                continue
            yield WorkflowSpec(
                name=name,
                policy=entry.policy,
                owner=entry.owner,
                require=self._require(entry.require, (*path, "require")),
            )

    # -- callers --------------------------------------------------------------------------------------------

    def _keys(self) -> Iterator[KeySpec]:
        names: set[str] = set()
        hashes: dict[str, str] = {}
        for index, entry in enumerate(self._file.keys):
            path: Path = ("keys", index)
            digest = self._value(values.sha256_hex, entry.hash, (*path, "hash"))
            self._value(values.name, entry.name, (*path, "name"))
            if entry.name in names:
                self._findings.problem(
                    "duplicate_name", path, f"two keys are named {shown(entry.name)}", "give each key its own name"
                )
            names.add(entry.name)
            if digest is not None and digest in hashes:
                self._findings.problem(
                    "duplicate_hash",
                    path,
                    f"the keys {shown(hashes[digest])} and {shown(entry.name)} are the same key",
                    "give each caller a key of its own: `pointsman key`",
                )
            elif digest is not None:
                hashes[digest] = entry.name
            yield self._key(entry, digest or "", path)

    def _key(self, entry: KeyEntry, digest: str, path: Path) -> KeySpec:
        allow = None
        if entry.allow != "all":
            names = entry.allow
            allow = self._allow_sets.setdefault(tuple(dict.fromkeys(names)), len(self._allow_sets))
            for index in self._unknown(names):
                self._unregistered_name(names[index], (*path, "allow", index), entry.name)
        for index, provider in enumerate(entry.providers):
            if provider not in self._file.providers:
                self._dangling(
                    "providers", provider, self._file.providers, (*path, "providers", index), f"key {shown(entry.name)}"
                )
        for index, tag in enumerate(entry.require_tags):
            self._value(values.tag, tag, (*path, "require_tags", index))
        return KeySpec(
            name=entry.name,
            hash=digest,
            team=entry.team,
            allow=allow,
            providers=entry.providers,
            require_tags=entry.require_tags,
            expires=(
                None if entry.expires is UNSET else self._value(values.unix_end, entry.expires, (*path, "expires"))
            ),
        )

    def _unregistered_name(self, name: str, path: Path, key: str) -> None:
        file = self._file
        if any(self._findings.spoilt(section, name) for section in ("workflows", "aliases", "targets")):
            return
        said = f"key {shown(key)}"
        self._dangling("workflows", name, chain(file.workflows, file.aliases, file.targets), path, said)

    def _unknown(self, names: tuple[str, ...]) -> list[int]:
        """Places of the names nobody registered. Many keys share one list, which is looked through once."""
        known = self._unknown_names.get(names)
        if known is None:
            file = self._file
            known = [
                index
                for index, name in enumerate(names)
                if name not in file.workflows and name not in file.aliases and name not in file.targets
            ]
            self._unknown_names[names] = known
        return known

    def _unregistered(self) -> Unregistered | None:
        entry = self._file.unregistered
        if entry is UNSET:
            return None
        if entry.observe not in self._file.providers:
            self._dangling(
                "providers", entry.observe, self._file.providers, ("unregistered", "observe"), "`unregistered`"
            )
            return None
        return Unregistered(entry.observe)


def _by_name(entries: Iterable[Named]) -> tuple[Named, ...]:
    """In one order, whatever order they were written in: a mapping has none, so a revision's hash must not either."""
    return tuple(sorted(entries, key=attrgetter("name")))


def _on_failure(entry: OnFailureEntry) -> OnFailure:
    on = RETRYABLE_BY_DEFAULT if entry.on is UNSET else tuple(dict.fromkeys(entry.on))
    return OnFailure(retry=entry.retry, fallback=entry.fallback, on=on)
