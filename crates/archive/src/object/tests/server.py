"""Serves S3 on a free port until standard input ends: moto, behind a guard that lets only requests in that are signed
right. Prints one line: the port, the id and secret of a key, then the id, secret and session token of a temporary one.

Moto can verify signatures itself, but takes the query as it stands in the request for the canonical one, where every
value has to be encoded anew: a list of `prefix=a/b` is signed as `prefix=a%2Fb`, and refused. So the guard does it.

Lines of standard input look past the protocol at what is kept, and are answered by one line each:
`list` gives all keys as JSON, `get KEY FILE` writes an object to a file, `put KEY FILE` makes one of it,
`delete KEY` removes it."""

import hashlib
import io
import json
import os
import sys
import threading
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "records"
# Made up anew by each server, so that one that is found anywhere came from this run.
KEY = Credentials("AKIA" + os.urandom(8).hex(), os.urandom(20).hex())
TEMPORARY = Credentials("ASIA" + os.urandom(8).hex(), os.urandom(20).hex(), os.urandom(40).hex())


class Refused(Exception):
    pass


def verify(environ, body):
    """Raises unless the request carries the signature that its content and one of the keys give."""
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    scheme, _, fields = headers.get("authorization", "").partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        raise Refused("AccessDenied")
    fields = dict(field.strip().split("=", 1) for field in fields.split(","))
    identity, day, region, service, end = fields["Credential"].split("/")
    key = next((key for key in (KEY, TEMPORARY) if key.access_key == identity), None)
    if key is None:
        raise Refused("InvalidAccessKeyId", identity)
    if headers.get("x-amz-security-token") != key.token:
        raise Refused("InvalidToken")
    if headers["x-amz-date"][:8] != day or (service, end) != ("s3", "aws4_request"):
        raise Refused("AuthorizationHeaderMalformed")
    signed = fields["SignedHeaders"].split(";")
    if not {"host", *(name for name in headers if name.startswith("x-amz-"))} <= set(signed):
        raise Refused("AccessDenied")
    if headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
        raise Refused("XAmzContentSHA256Mismatch")
    path, _, query = environ["RAW_URI"].partition("?")
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        # Encoded anew; a slash is one either way.
        url="http://" + headers["host"] + quote(unquote(path), safe="/-_.~"),
        params=parse_qsl(query, keep_blank_values=True),
        headers={name: headers[name] for name in signed},
    )
    request.context["timestamp"] = headers["x-amz-date"]
    auth = S3SigV4Auth(key, service, region)
    canonical = auth.canonical_request(request)
    text = auth.string_to_sign(request, canonical)
    if auth.signature(text, request) != fields["Signature"]:
        # As AWS does: it repeats all it was told, tokens too.
        raise Refused("SignatureDoesNotMatch", identity, canonical)


def guarded(application):
    def guard(environ, start):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            verify(environ, body)
        except (Refused, KeyError, ValueError) as why:
            code, *more = why.args if isinstance(why, Refused) else ["InvalidRequest"]
            more = escape(" ".join(more))
            said = f"<Error><Code>{code}</Code><Message>{more}</Message></Error>".encode()
            sizes = [("content-type", "application/xml"), ("content-length", str(len(said)))]
            start("403 Forbidden", sizes)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [said]
        return application(environ, start)

    return guard


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
backend.create_bucket(BUCKET, "us-east-1")


def answer(command, key="", file=""):
    if command == "list":
        return json.dumps(sorted(backend.buckets[BUCKET].keys.keys()))
    if command == "get":
        with open(file, "wb") as to:
            to.write(backend.get_object(BUCKET, key).value)
    elif command == "put":
        with open(file, "rb") as content:
            backend.put_object(BUCKET, key, content.read())
    elif command == "delete":
        backend.delete_object(BUCKET, key)
    return "done"


def until_end():
    for line in sys.stdin:
        print(answer(*line.split()), flush=True)
    os._exit(0)


application = guarded(DomainDispatcherApplication(create_backend_app))
server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
print(
    server.port,
    KEY.access_key,
    KEY.secret_key,
    TEMPORARY.access_key,
    TEMPORARY.secret_key,
    TEMPORARY.token,
    flush=True,
)
threading.Thread(target=until_end, daemon=True).start()
server.serve_forever()
