"""Tables, migrations and queries: what the control process keeps. The gateway never comes here."""
