"""What is particular to PostgreSQL."""

import hashlib
import hmac
from base64 import b64decode

from gateway.engines.postgres import scram_verifier


def test_the_stored_verifier_proves_the_password_and_does_not_hold_it():
    mechanism, rounds_and_salt, keys = scram_verifier("correct horse").split("$")
    rounds, salt = rounds_and_salt.split(":")
    stored_key, server_key = map(b64decode, keys.split(":"))
    salted = hashlib.pbkdf2_hmac("sha256", b"correct horse", b64decode(salt), int(rounds))
    assert mechanism == "SCRAM-SHA-256"
    assert hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest() == stored_key
    assert hmac.digest(salted, b"Server Key", "sha256") == server_key


def test_the_same_password_is_never_stored_alike():
    assert scram_verifier("correct horse") != scram_verifier("correct horse")
