"""Decides how much a request is charged, quota by quota,
or why it is refused (resourcequota's CheckRequest)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pilothouse import errors
from pilothouse.admission.quota import scopes
from pilothouse.admission.quota.amounts import ZERO, grown, show
from pilothouse.admission.quota.evaluators import Evaluator
from pilothouse.api.configfile import ConfigurationError
from pilothouse.api.values.fields import Object
from pilothouse.api.values.pod_resources import Amounts, add, amounts
from pilothouse.registry.admission import AdmissionAttributes


class Limited(NamedTuple):
    """A resource that may only be used where a quota covers it (a limitedResource of the configuration)."""

    resource: str
    contains: tuple[str, ...] = ()
    scopes: tuple[Object, ...] = ()


def limited_from(configuration: Mapping[str, object]) -> tuple[Limited, ...]:
    """The limitedResources of the plugin's Configuration object (apiserver.config.k8s.io/v1)."""
    listed = configuration.get("limitedResources") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ConfigurationError("limitedResources: it must be a list of objects")
    return tuple(
        Limited(
            errors.qualified(one.get("apiGroup", ""), one.get("resource", "")),
            tuple(one.get("matchContains") or ()),
            tuple(one.get("matchScopes") or ()),
        )
        for one in listed
    )


class Account:
    """A quota while requests are judged:
    what it limits, and what is used with all that were let in so far."""

    __slots__ = ("hard", "name", "quota", "touched", "used", "version")

    def __init__(self, quota: Object) -> None:
        status = quota.get("status") or {}
        self.quota = quota
        self.name: str = quota["metadata"]["name"]
        self.version: str = quota["metadata"]["resourceVersion"]
        self.hard = amounts(status.get("hard"))
        self.used = amounts(status.get("used"))
        self.touched = False

    def charge(self, delta: Amounts) -> None:
        """Add to what is used."""
        add(self.used, delta)
        self.touched = True

    def refund(self, delta: Amounts) -> None:
        """Take off what is used, down to zero."""
        for name, amount in delta.items():
            if name in self.used:
                self.used[name] = max(self.used[name] - amount, ZERO)
        self.touched = True


class QuotaRequest(NamedTuple):
    """A request that quotas judge, and the evaluator that counts its objects."""

    attributes: AdmissionAttributes
    evaluator: Evaluator
    limited: Sequence[Limited] = ()

    def deltas(self, accounts: Iterable[Account]) -> dict[str, Amounts]:
        """The amounts to charge to each quota, by name; Forbidden when one is exceeded.
        The accounts are not changed.

        A scope that the configuration limits and no quota covers is a 500, as upstream has it.
        """
        a, evaluator = self.attributes, self.evaluator
        assert a.obj is not None
        accounts = list(accounts)
        matching = [account for account in accounts if self._matches(account, a.obj)]
        for account in matching:
            self._check_known(account)
        usage = evaluator.usage(a.obj, a.readers)
        negative = sorted(name for name, amount in usage.items() if amount < ZERO)
        if negative:
            raise a.refuse(f"quota usage is negative for resource(s): {','.join(negative)}")
        more = usage
        if a.operation == "UPDATE" and a.old is not None:
            more = grown(usage, evaluator.usage(a.old, a.readers))
        by_name = {}
        for account in matching:
            delta = more if a.old is not None and self._matches(account, a.old) else usage
            delta = {name: amount for name, amount in delta.items() if amount}
            if delta:
                by_name[account.name] = delta
        if not (by_name if matching else any(more.values())):
            return {}
        if self.limited:
            self._check_covered(usage, accounts, matching)
        return {
            account.name: self._fit(account, by_name[account.name])
            for account in matching
            if account.name in by_name
        }

    def _matches(self, account: Account, obj: Object) -> bool:
        """Whether a quota counts the object."""
        return bool(self.evaluator.matching(account.hard)) and all(
            self.evaluator.in_scope(requirement, obj) for requirement in scopes.requirements(account.quota)
        )

    def _check_known(self, account: Account) -> None:
        """Check that a quota can count: the object says what it uses, the status what is used already."""
        a = self.attributes
        assert a.obj is not None
        names = self.evaluator.matching(account.hard)
        missing = self.evaluator.missing(names, a.obj)
        if missing:
            raise a.refuse(f"failed quota: {account.name}: {missing}")
        if any(name not in account.used for name in names):
            listed = ",".join(sorted(names))
            raise a.refuse(f"status unknown for quota: {account.name}, resources: {listed}")

    def _fit(self, account: Account, delta: Amounts) -> Amounts:
        """The part of a delta that the quota counts; Forbidden when there is no place for it."""
        asked = {name: amount for name, amount in delta.items() if name in account.hard}
        used = account.used
        exceeded = [n for n in asked if asked[n] + used.get(n, ZERO) > account.hard[n]]
        if exceeded:
            raise self.attributes.refuse(
                f"exceeded quota: {account.name}, requested: {show(asked, exceeded)}, "
                f"used: {show(used, exceeded)}, limited: {show(account.hard, exceeded)}"
            )
        return asked

    def _check_covered(self, usage: Amounts, accounts: list[Account], matching: list[Account]) -> None:
        """Check that a quota counts what the configuration limits, in resource and in scope."""
        a, evaluator = self.attributes, self.evaluator
        assert a.obj is not None
        wanted = {
            name
            for one in self.limited
            if one.resource == evaluator.resource
            for name, amount in usage.items()
            if amount > ZERO and any(part in name for part in one.contains)
        }
        covered = {name for account in matching for name in evaluator.matching(account.hard)}
        if wanted - covered:
            raise a.refuse(f"insufficient quota to consume: {','.join(sorted(wanted - covered))}")
        if not evaluator.scoped:
            return
        held = {
            r["scopeName"]
            for account in accounts
            for r in scopes.requirements(account.quota)
            if evaluator.in_scope(r, a.obj)
        }
        bare = [
            r
            for one in self.limited
            for r in one.scopes
            if evaluator.in_scope(r, a.obj) and r.get("scopeName") not in held
        ]
        if bare:
            listed = " ".join(
                f"{{{r.get('scopeName', '')} {r.get('operator', '')} [{' '.join(r.get('values') or ())}]}}"
                for r in bare
            )
            raise errors.Unknown(f"insufficient quota to match these scopes: [{listed}]")
