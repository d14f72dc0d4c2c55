"""A link as a picture for cameras, in a terminal."""

import io


def picture(text: str) -> str | None:
    """The QR code of a text in half blocks; None where the library for it is not installed."""
    try:
        import segno  # noqa: PLC0415 - an extra, for one command
    except ImportError:
        return None
    drawn = io.StringIO()
    segno.make_qr(text, error="m").terminal(out=drawn, compact=True)
    return drawn.getvalue().rstrip("\n")
