"""Serves S3 on a free port until standard input ends. Prints the port, then the id and secret of a key that may use it.

With the argument `signed`, every request has to be signed with that key. Moto takes the signature of a list for wrong even
where it is right, so that only requests without a query can succeed then."""

import json
import os
import sys
import threading

if sys.argv[1:] == ["signed"]:
    os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
iam.create_user("us-east-1", "larder")
key = iam.create_access_key("larder")
rules = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}
iam.put_user_policy("larder", "all", json.dumps(rules))
s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("records", "us-east-1")

application = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
print(server.port, key.access_key_id, key.secret_access_key, flush=True)


def until_end():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=until_end, daemon=True).start()
server.serve_forever()
