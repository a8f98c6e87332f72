"""A Plotly chart that keeps its zoom, legend choices and hover while its data grows.

Why `st.plotly_chart` is not enough. In Streamlit 1.67.0 its identity is a hash of the whole figure,
so with every new point the browser sees a new chart, and `uirevision` has nothing to act on:
`benchmarks/plotly_chart_identity.py` shows in a browser that its DOM node is replaced and a trace
hidden through the legend comes back, where this component keeps both. A `st.components.v2`
component is identified by its key alone: the node stays, and Plotly itself can bring the old
drawing up to date.

Modules: `snapshot` (figure to comparable parts), `delta` (what to send), `component` (the Streamlit
side) and `frontend/` (the browser side); `app.components.assets` brings the scripts there.
"""

from .component import Download, live_chart

__all__ = ["Download", "live_chart"]
