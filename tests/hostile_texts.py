"""Words that would be more than words wherever they are not shown as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import CellStatus, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.export.preparation import folder_of, write_preparation
from adadfq_core.files import sha256
from adadfq_core.runs.database import session
from adadfq_core.runs.labels import set_labels
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from app.export.report import ReportContent
from tests.app.preparations import prepared, write_files
from tests.app.report_contents import ITERATIONS, content_of

ALARM = "hostile_alarm"
"""What scripts among the words set of the browser's window."""
HOST = "hostile.example"
"""The host that links and pictures among the words name."""

HOSTILE = {
    "script": f"<script>window.{ALARM}=1</script>",
    "handler": f'<img src=x onerror="window.{ALARM}=1">',
    "svg": f"<svg onload=window.{ALARM}=1>",
    "link": f'<a href="javascript:window.{ALARM}=1">go</a>',
    "Markdown's link": f"[go](javascript:window.{ALARM}=1)",
    "Markdown's picture": f"![see](http://{HOST}/1.png)",
    "addresses": f"http://{HOST}/2 www.{HOST} me@{HOST}",
    "colours": ":red[red] :blue-background[blue] :rainbow[all] :small[small]",
    "icons": ":material/home: :material_home: :streamlit: :smile:",
    "formulas": "$\\frac{1}{2}$ and $$x^2$$",
    "end of a script": f"</script><script>window.{ALARM}=1</script>",
    "end of a title": "</title></style></textarea><b>bold</b>",
    "attribute": f'" onmouseover="window.{ALARM}=1" x=\'',
    "Plotly's markup": '<b>bold</b><br><span style="color:red">red</span><sub>low</sub>',
    "blocks": "# head\n\n    code\n\n- list\n\n1. first\n\n| a |\n|---|\n| b |\n\n> quote\n\n---",
    "arrows": "a -> b <- c -- d >= e <= f ~= g <-> h",
    "entities": "&lt;i&gt; &amp; &#60;i&#62;",
    "templates": "%{x} {{7*7}} ${7*7} {0} %s",
    "line ends": "a\u2028b\u2029c\u0085d",
    "turned": "\u202egnp.exe and on",
    "control characters": "a\0b\x1b[2Jc\x07",
    "half a character": "a\udcffb",
    "long": "long " * 2000,
}
SHORT = tuple(text[:40] for text in HOSTILE.values() if text.isprintable())[:20]
"""As tags, which have at most 40 characters."""

ALL = "\n".join(text for text in HOSTILE.values() if text.isprintable() and len(text) < 200)
"""Most of them in one text of many lines, as notes and reasons may be."""


def hostile_run(root: Path, classes: tuple[str, ...], **settings: Any) -> ReportContent:
    """A run in `root` that has failed, with `settings`, whose every text is hostile."""
    settings |= {"data": HOSTILE["icons"]}
    content = content_of(root, classes=classes, note=ALL, tags=SHORT, **settings)
    run_id = content.view.run_id
    with RunWriter(root, run_id) as writer:
        writer.append(RecordKind.NOTICE, ITERATIONS, {"text": ALL})
        changes = {"changes": {"beta": 0.5}}
        writer.append(RecordKind.PARAMETERS, ITERATIONS, changes)
        path = writer.checkpoints / f"{ITERATIONS:08d}.pt"
        path.write_bytes(b"no networks")
        digest = {"sha256": sha256(path)}
        writer.append(RecordKind.CHECKPOINT, ITERATIONS, digest, file=path)
    with session(RunStore(root).database, "IMMEDIATE") as connection:
        connection.execute(
            "UPDATE runs SET preset = ?, reason = ?, status = ?, iteration = ?, owner = ? "
            "WHERE run_id = ?",
            (HOSTILE["handler"], ALL, RunStatus.FAILED, ITERATIONS, HOSTILE["addresses"], run_id),
        )
    folder = folder_of(root / run_id, ITERATIONS)
    found = prepared(ITERATIONS)
    write_files(folder, found, run_id)
    write_preparation(folder, found)
    return content


def hostile_sweep(root: Path, run_id: str) -> str:
    """A sweep that has failed over networks with hostile names; one cell has played `run_id`."""
    names = [text for text in HOSTILE.values() if text.isprintable() and len(text) < 200]
    plan = Plan(
        axes=("network", "lambda_l"),
        points=tuple({"network": name, "lambda_l": low} for name in names for low in (0.1, 0.2)),
    )
    store = SweepStore(root)
    sweep_id = store.create(
        plan, [], name=HOSTILE["Markdown's picture"], workers=1, threads=1, ray_address=""
    )
    for cell in plan.cells:
        store.cell_started(sweep_id, cell.index)
        if cell.index:
            failed = CellStatus.FAILED
            store.cell_ended(sweep_id, cell.index, failed, HOSTILE["handler"], None)
        else:
            store.cell_ended(sweep_id, cell.index, CellStatus.FINISHED, "", run_id)
    store.end(store.info(sweep_id), SweepStatus.FAILED, ALL)
    set_labels(root, run_id, SHORT, ALL)
    return sweep_id
