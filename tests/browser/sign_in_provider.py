"""A provider of OpenID Connect for tests: it signs whoever in that the browser's cookie names."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET = "playground", "a secret of the client's"
WHO = "provider_who"
"""The cookie that names who sits at the browser."""

Token = dict[str, Any]
_HEADER = {"alg": "RS256", "kid": "one"}


def _key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})


@dataclass
class Provider:
    """What the provider knows.

    Attributes:
        spoil: what is wrong with the tokens of a user, by the user's name: a change of the claims.
        foreign, symmetric: users whose tokens another key signs, or one that everybody knows.
        signed_out: how often somebody has signed out of the provider.
    """

    url: str = ""
    key: RSAKey = field(default_factory=_key)
    spoil: dict[str, Callable[[Token], Token]] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    symmetric: set[str] = field(default_factory=set)
    codes: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    signed_out: int = 0

    def about(self) -> dict[str, Any]:
        """The document that a client is configured from."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "end_session_endpoint": f"{self.url}/end",
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
        }

    def authorize(self, who: str, asked: dict[str, str]) -> str:
        """Where the browser goes on, with a code for `who`."""
        code = secrets.token_urlsafe()
        self.codes[code] = (who, asked)
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, given: dict[str, str]) -> Token | None:
        """The tokens for a code, which holds once and for whoever asked for it alone."""
        who, asked = self.codes.pop(given.get("code", ""), ("", {}))
        verifier = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if not who or proof != asked["code_challenge"]:
            return None
        return {
            "access_token": secrets.token_urlsafe(),
            "token_type": "Bearer",
            "expires_in": 3600,
            "id_token": self._signed(who, asked["nonce"]),
        }

    def _signed(self, who: str, nonce: str) -> str:
        now = int(time.time())
        claims: Token = {
            **{"iss": self.url, "aud": CLIENT, "sub": who, "nonce": nonce},
            **{"iat": now, "exp": now + 3600, "email": who, "email_verified": True},
        }
        claims = self.spoil.get(who, lambda claims: claims)(claims)
        if who in self.symmetric:
            # The public key as a secret: what confuses clients that take the algorithm on trust.
            known = OctKey.import_key(self.key.as_pem(private=False))
            return jwt.encode({"alg": "HS256", "kid": "one"}, claims, known)
        return jwt.encode(_HEADER, claims, _key() if who in self.foreign else self.key)


def _flat(query: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query).items()}


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            asked = _flat(address.query)
            if address.path == "/.well-known/openid-configuration":
                self._answer(provider.about())
            elif address.path == "/keys":
                self._answer({"keys": [provider.key.as_dict(private=False)]})
            elif address.path == "/authorize":
                who = SimpleCookie(self.headers.get("Cookie", ""))[WHO].value
                self._go_on(provider.authorize(who, asked))
            else:
                provider.signed_out += 1
                self._go_on(asked["post_logout_redirect_uri"])

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            login = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            known = self.headers.get("Authorization") == f"Basic {login}"
            tokens = provider.exchange(_flat(body)) if known else None
            self._answer(tokens or {"error": "invalid_grant"}, 200 if tokens else 400)

        def _answer(self, content: object, status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _go_on(self, address: str) -> None:
            self.send_response(302)
            self.send_header("Location", address)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def serve_provider() -> Iterator[Provider]:
    """A provider that answers while the block goes on."""
    provider = Provider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(provider))
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
