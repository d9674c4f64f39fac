"""What reason codes mean, in a sentence for the people who read an explanation."""

from __future__ import annotations

from pointsman.core.decision import Reason

MEANINGS: dict[str, str] = {
    str(reason): sentence
    for reason, sentence in {
        Reason.NOT_APPROVED: "its approval state is not `approved`",
        Reason.RETIRED: "it is retired, by us or by its provider",
        Reason.WRONG_TASK: "it does another kind of work than the request asks for",
        Reason.MISSING_TAG: "it lacks a tag that the policy requires",
        Reason.TIER_NOT_ALLOWED: "its cost class is not among those the policy allows",
        Reason.LACKS_CAPABILITY: "it is known to be unable to do what the request needs",
        Reason.UNKNOWN_CAPABILITY: "nobody has said whether it can do this, and the policy denies the unknown",
        Reason.CONTEXT_TOO_SMALL: "the request does not fit its context window",
        Reason.MAX_OUTPUT_TOO_SMALL: "it cannot write as much as the request asks for",
        Reason.KEY_PROVIDER: "the key may not use its provider",
        Reason.KEY_TAG: "it lacks a tag that the key requires",
        Reason.FLOW_NOT_ALLOWED: "it does not participate in the flow this place in the order belongs to",
        Reason.COOLING_DOWN: "it failed a moment ago and is given time",
        Reason.DOWN: "it is down",
        Reason.FALLBACK_OFF: "the policy does not fall back to another target",
        Reason.CREDENTIAL_MISSING: "the gateway has no secret for its provider",
    }.items()
}
