"""The error for images that cannot be used: whatever a reader raises becomes one, here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from encoders.errors import without_addresses
from relax.notes import quiet
from relax.text import printable


class ImageError(ValueError):
    """An image cannot be used. The message is one line: the image, the problem, the way out."""


_QUOTED = re.compile(r"""b?(['"])(?:\\.|(?!\1).)*\1""")


def in_one_line(error: Exception, limit: int = 200) -> str:
    """The message of a library's error on one line of at most `limit` characters, or its type if it has none.

    What it quotes is left out, since it may be text of the file's header, and with it the name of a patient; but an
    AttributeError quotes names of types and elements only. Addresses in memory are left out, too.
    """
    text = " ".join(str(error).split())
    text = text if isinstance(error, AttributeError) else _QUOTED.sub("…", text)
    return printable(without_addresses(text))[:limit] or type(error).__name__


@contextmanager
def decoding_errors() -> Iterator[None]:
    """Raise whatever a reader raises as an ImageError, and keep back the warnings of its libraries.

    Their warnings may quote a header. A damaged file can raise anything in a decoder. Of what comes through, an
    ImportError names an extra that is missing.
    """
    try:
        with quiet():
            yield
    except (ImageError, ImportError):
        raise
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except MemoryError as error:
        raise ImageError("needs more memory than there is; make it smaller first") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ImageError(f"cannot be read: {error.strerror}") from error
        raise ImageError(f"cannot be decoded, the file is damaged or truncated ({in_one_line(error)})") from error
