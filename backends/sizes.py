"""Sizes of memory as people write them: `8Gi`, in Kubernetes' binary units."""

import re

SIZE = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti)?$"
_UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def size_in_bytes(size: str) -> int:
    """`"8Gi"` → 8589934592. Raises ValueError for what is no size."""
    if re.fullmatch(SIZE, size) is None:
        raise ValueError("not a size like 8Gi")
    number = size.rstrip("KMGTi")
    return int(float(number) * _UNITS[size.removeprefix(number)])
