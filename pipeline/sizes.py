"""Sizes in words."""


def readable(size_bytes: float) -> str:
    """The size in decimal units: `2.9 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1000 or unit == "GB":
            break
        size_bytes /= 1000
    return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:,.1f} {unit}"
