"""Who we are to NATS when we sign for it: nkeys, which are Ed25519 keys in a writing of NATS's own.

The writing is base32 of a prefix that tells what the key is for, the key's 32 bytes and a CRC-16 of both (XMODEM,
little-endian): NATS's architecture decision 14. A seed's prefix has the bits of two: "seed", and "of a user".
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fleetcron.errors import BadSettings

SEED: Final = 18 << 3
USER: Final = 20 << 3
KEY_BYTES: Final = 32
CHECKSUM_BYTES: Final = 2


class Nkey:
    """A user's key, from its seed.

    Raises:
        BadSettings: this is no seed of a user's nkey.
    """

    def __init__(self, seed: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(_raw(seed))

    def __repr__(self) -> str:
        return f"Nkey({self.public})"

    @property
    def public(self) -> str:
        """The public key, as NATS writes it: U and 55 more characters."""
        return _written(bytes([USER]) + self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, nonce: str) -> bytes:
        """The signature that a server asks for when we connect, as base64."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def new_seed(random: bytes) -> str:
    """A new user's seed from 32 random bytes."""
    return _written(bytes([SEED | USER >> 5, (USER & 31) << 3]) + random)


def _raw(seed: str) -> bytes:
    wrong = BadSettings("nkey", "this is no seed of a user's nkey")
    try:
        said = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except binascii.Error as error:
        raise wrong from error
    body, checksum = said[:-CHECKSUM_BYTES], said[-CHECKSUM_BYTES:]
    if len(body) != CHECKSUM_BYTES + KEY_BYTES or checksum != _checksum(body):
        raise wrong
    if (body[0] & 0xF8, (body[0] & 7) << 5 | body[1] >> 3) != (SEED, USER):
        raise wrong
    return body[2:]


def _written(body: bytes) -> str:
    return base64.b32encode(body + _checksum(body)).decode().rstrip("=")


def _checksum(body: bytes) -> bytes:
    return binascii.crc_hqx(body, 0).to_bytes(CHECKSUM_BYTES, "little")
