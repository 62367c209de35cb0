"""Keys: random, with a checksum, kept as digests."""

from app.guard import mint


def test_a_key_has_its_shape() -> None:
    keys = {mint.made() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert len(key) == 31
        assert key.startswith("mk-")
        assert key[3:].isalnum()
        assert not mint.mistyped(key)


def test_a_damaged_key_is_told() -> None:
    key = "mk-0123456789abcdefghijkl3OCnqU"
    assert not mint.mistyped(key)
    for damaged in (key[:-1], key[1:], f"{key}0", key.replace("01", "10"), key.upper(), "mk-"):
        assert mint.mistyped(damaged) or not damaged.startswith("mk-")


def test_only_our_own_keys_have_checksums() -> None:
    assert not mint.mistyped("sk-whatever")


def test_the_digest_is_hmac_sha_256() -> None:
    # RFC 4231, test case 2.
    wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert mint.digest(b"Jefe", b"what do ya want for nothing?").hex() == wanted
