"""What Pointsman ships for tests and rehearsals: simulated provider, small real model, frozen clock."""
