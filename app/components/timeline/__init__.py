"""A slider over a run's iterations that follows the page and reports only what its reader does.

Streamlit's own slider tells its position with every message of the browser, also with those of a
timer. On a page that moves the slider itself, as a replay does, a late message with an earlier
position then looks like a wish of the reader's. This one is silent until it is moved.
"""

from .component import timeline

__all__ = ["timeline"]
