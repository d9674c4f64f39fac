"""The control process: it owns the store, publishes revisions, ingests call records and answers the admin API."""
