"""plotly.js, to be put into the page."""

import gzip
from base64 import b64encode
from functools import cache


@cache
def packed_plotly() -> str:
    """plotly.js as the installed plotly brings it, compressed by gzip, in base 64.

    It is 5 MB of text, of which this leaves 2; `static/plots.js` unpacks it.

    Raises:
        ImportError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            "the report needs plotly: pip install plotly (or shapmix[report])"
        ) from error
    return b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
