"""TLS contexts, made once and shared: making one costs milliseconds and holds every authority in memory."""

from __future__ import annotations

import ssl

from pointsman.transport.endpoint import Endpoint, authority
from pointsman.transport.errors import TransportError


class TlsContexts:
    """The contexts of one process, by what they trust. Pass one instance to every pool."""

    def __init__(self) -> None:
        self._made: dict[tuple[str | None, bool], ssl.SSLContext] = {}

    def context(self, endpoint: Endpoint) -> ssl.SSLContext:
        """The context for an https endpoint; TransportError `tls` if its `ca_file` cannot be used."""
        key = (endpoint.ca_file, endpoint.verify)
        context = self._made.get(key)
        if context is None:
            context = self._made[key] = _make(endpoint.ca_file, verify=endpoint.verify)
        return context


def _make(ca_file: str | None, *, verify: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise TransportError(
            f"cannot read the CA file {ca_file}: {error}. Give ca_file the path of a PEM file with certificates",
            kind="tls",
            sent=False,
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def tls_error(endpoint: Endpoint, error: ssl.SSLError, *, sent: bool) -> TransportError:
    """Our error for one of OpenSSL's, naming the host and the mend."""
    where = authority(endpoint.host, endpoint.port)
    name = endpoint.server_hostname or endpoint.host
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        if error.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
            mend = "use a host name that the certificate carries, or set server_hostname to one"
        elif error.verify_code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
            mend = "the upstream must renew its certificate"
        else:
            mend = "if it was issued by a private authority, set ca_file to that authority's PEM file"
        message = f"the TLS certificate of {where} does not prove {name}: {why}. Mend: {mend}"
    else:
        why = error.reason or str(error)
        mend = "check that this port speaks TLS (https, not http) and whether it wants a client certificate"
        message = f"the TLS connection to {where} failed: {why}. Mend: {mend}"
    return TransportError(message, kind="tls", sent=sent)
