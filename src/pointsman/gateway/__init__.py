"""The request path, one file a step, in the order of a request:

    app           which endpoint is called
    receive       the body, bounded; and word of the caller hanging up
    authenticate  key → principal
    resolve       requested name → route
    serve         the steps of one call from top to bottom, with core.decision.decide in the middle
    attempt       one upstream call, and what to do when it fails
    relay         a stream on its way to the caller
    settle        usage, cost, record, metrics: exactly once
    respond       headers and errors

Beside the path: `runtime` (a revision made ready), `revisions` (taking a new one while calls go on),
`worker` (the process).
"""
