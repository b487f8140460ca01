"""Who made a bundle: Ed25519 signatures (RFC 8032) over the exact bytes of its manifest.

The manifest has the SHA-256 of every file that counts, so one signature covers the bundle. It is 64 raw bytes and keys
are PEM files, so that openssl can check what we say:

    openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in manifest.json -sigfile manifest.sig

A fingerprint is the first 16 hex digits of the SHA-256 of the public key's DER form. `cryptography` is imported where
a key is used: a daemon without keys does not pay for it.
"""

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detector.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def make_keys() -> tuple[bytes, bytes]:
    """A new private and its public key, both PEM."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    return private, key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)


def sign(key_file: Path, data: bytes) -> bytes:
    """The signature of `data`. Raises ConfigError where the key cannot be used."""
    return _private_key(key_file).sign(data)


def signer_of(key_files: Sequence[Path], data: bytes, signature: bytes) -> str | None:
    """The fingerprint of the key, among the public ones given, that made the signature; None where none did."""
    from cryptography.exceptions import InvalidSignature

    for key_file in key_files:
        key = _public_key(key_file)
        try:
            key.verify(signature, data)
        except InvalidSignature:
            continue
        return _fingerprint(key)
    return None


def fingerprint(key_file: Path) -> str:
    """The fingerprint of a public key's file. Raises ConfigError where it holds none."""
    return _fingerprint(_public_key(key_file))


def _fingerprint(key: "Ed25519PublicKey") -> str:
    from cryptography.hazmat.primitives import serialization as form

    der = key.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]


def _public_key(path: Path) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path, "trust.public_keys")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(
            f"trust.public_keys names {path}, which does not hold an Ed25519 public key in PEM form",
            "name the .pub file that 'watchkeeper models keys' made",
        )
    return key


def _private_key(path: Path) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path, "trust.signing_key")
    _refuse_readable(path)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"trust.signing_key {path} does not hold an Ed25519 private key in PEM form, without a passphrase",
            "name the .key file that 'watchkeeper models keys' made",
        )
    return key


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"{setting} names {path}, which cannot be read ({reason})", "correct the path") from None


def _refuse_readable(path: Path) -> None:
    """A private key is its owner's alone. A mounted secret of root may be readable to our group: there is no other
    way to hand it over without running as root.
    """
    facts = path.stat()
    ours = facts.st_uid == os.geteuid() or facts.st_uid != 0
    allowed = stat.S_IRWXU if ours else stat.S_IRWXU | stat.S_IRGRP
    if stat.S_IMODE(facts.st_mode) & ~allowed:
        raise ConfigError(
            f"the private key {path} is open to others (mode {stat.S_IMODE(facts.st_mode):04o})",
            f"run: chmod 0600 {path}, and make a new pair if somebody may have read it",
        )
