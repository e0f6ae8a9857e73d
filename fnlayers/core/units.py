"""Numbers with their units, for people."""


def readable(size: int) -> str:
    """A number of bytes as people say it.

    >>> readable(76), readable(102_400_000)
    ('76 B', '97.7 MiB')
    """
    scaled, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if scaled < 1024:
            break
        scaled, unit = scaled / 1024, larger
    return f"{size} B" if unit == "B" else f"{scaled:.1f} {unit}"
