"""Verifies a DSSE envelope with securesystemslib: verify.py ENVELOPE PUBLIC_KEY_PEM. Prints the payload."""

import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

with open(sys.argv[1], encoding="utf-8") as file:
    envelope = Envelope.from_dict(json.load(file))
with open(sys.argv[2], "rb") as file:
    key = SSlibKey.from_crypto(load_pem_public_key(file.read()))
envelope.verify([key], 1)
assert envelope.payload_type == "application/vnd.in-toto+json", envelope.payload_type
sys.stdout.write(envelope.payload.decode("utf-8"))
