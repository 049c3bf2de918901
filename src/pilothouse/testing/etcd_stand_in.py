"""Takes etcd's place where a suite starts one, though the API server keeps its objects itself.

It says that it is healthy, and keeps nothing. It is run as a script, with the flags of etcd.
"""

import argparse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

USAGE = """etcd_stand_in.py [flags of etcd]
  --listen-client-urls URL  the address that it answers
Other flags of etcd have no effect."""


class StandIn(BaseHTTPRequestHandler):
    """Answers /health as etcd does, and nothing else."""

    def do_GET(self) -> None:
        """Answer a request."""
        healthy = self.path == "/health"
        body = b'{"health":"true"}' if healthy else b"the API server keeps its objects itself\n"
        self.send_response(200 if healthy else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of requests."""


def main() -> None:
    """Answer until a signal."""
    parser = argparse.ArgumentParser(usage=USAGE, allow_abbrev=False)
    parser.add_argument("--listen-client-urls", default="http://127.0.0.1:2379")
    asked, _ = parser.parse_known_args()
    where = urlsplit(asked.listen_client_urls.partition(",")[0])
    ThreadingHTTPServer((where.hostname or "127.0.0.1", where.port or 2379), StandIn).serve_forever()


if __name__ == "__main__":
    main()
