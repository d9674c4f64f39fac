"""The upstream HTTP/1.1 client: pools, TLS, egress proxies, deadlines per phase, cancellation. See contract.py."""

from pointsman.transport.contract import Deadlines, Phase, PoolLimits
from pointsman.transport.endpoint import Endpoint
from pointsman.transport.environment import proxy_from_environment
from pointsman.transport.errors import Kind, TransportError
from pointsman.transport.pool import Pool
from pointsman.transport.response import Response
from pointsman.transport.tls import TlsContexts

__all__ = [
    "Deadlines",
    "Endpoint",
    "Kind",
    "Phase",
    "Pool",
    "PoolLimits",
    "Response",
    "TlsContexts",
    "TransportError",
    "proxy_from_environment",
]
