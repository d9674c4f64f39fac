"""The admin API: status, revisions, registry, calls, explanations, reports."""
