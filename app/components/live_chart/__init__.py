"""A Plotly chart that keeps its zoom, legend choices and hover while its data grows.

Why `st.plotly_chart` is not enough. Measured with Streamlit 1.67.0 in Chromium, one chart with a
`key` and a `uirevision` inside `st.fragment(run_every=1.0)` gaining one point a second: its DOM
node was replaced at every point, a zoom drag was cut off half-way by the next point and never took
effect, and a trace hidden through the legend was shown again at the next refresh. Its identity is
a hash of the whole figure, so the browser sees a new chart each time and `uirevision` has nothing
to act on. A `st.components.v2` component is identified by its key alone: the node stays, and
Plotly itself can bring the old drawing up to date.

Modules: `snapshot` (figure to comparable parts), `delta` (what to send), `assets` (how scripts
reach the browser), `component` (the Streamlit side) and `frontend/` (the browser side).
"""

from .component import LiveChartResult, live_chart

__all__ = ["LiveChartResult", "live_chart"]
