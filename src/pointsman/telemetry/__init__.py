"""From the gateway's records to evidence: spool, ingest, metrics."""
