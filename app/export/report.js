// Draws the charts of a report, and readies the page for paper.

// Width of a drawing on A4 or Letter between the margins of the style sheet, in CSS pixels.
const PAPER_WIDTH = 660;

const charts = [...document.querySelectorAll(".plot")];
const folded = [];

for (const node of charts) {
  const { data, layout } = JSON.parse(node.nextElementSibling.textContent);
  Plotly.newPlot(node, data, layout, {
    displayModeBar: false,
    responsive: true,
    showTips: false,
  });
}

addEventListener("beforeprint", () => {
  folded.push(...document.querySelectorAll("details:not([open])"));
  folded.forEach((part) => (part.open = true));
  charts.forEach((node) => Plotly.relayout(node, { width: PAPER_WIDTH }));
});

addEventListener("afterprint", () => {
  folded.splice(0).forEach((part) => (part.open = false));
  charts.forEach((node) => Plotly.relayout(node, { width: null, autosize: true }));
});
