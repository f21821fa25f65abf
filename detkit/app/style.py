"""The style sheet of the page, in addition to gradio's, for wide windows and for phones."""

from __future__ import annotations

# Colors use gradio's variables, for the light and the dark theme.
STYLE = """
.gradio-container, .gradio-container main { width: 100% !important; }
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; }
.gradio-container .html-container { padding: 0 !important; }
#head { padding: 4px 2px; }
#head h1 { font-size: 1.5rem; font-weight: 700; margin: 0; letter-spacing: -0.01em; }
#head p { margin: 2px 0 0; color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.status { margin: 0; min-height: 1.5em; color: var(--body-text-color-subdued);
  overflow-wrap: anywhere; }
.status.error { color: #b42318; background: #fef3f2; border: 1px solid #fda29b; border-radius: 8px;
  padding: 8px 12px; font-weight: 600; }
.dark .status.error { color: #fda29b; background: #3b1512; border-color: #7a271a; }
.empty, .note { margin: 4px 0 0; color: var(--body-text-color-subdued); font-size: 0.8rem; }
.detections { max-height: 420px; overflow: auto; border: 1px solid var(--border-color-primary);
  border-radius: 8px; }
.detections table { width: 100%; border-collapse: collapse; font-size: 0.875rem; margin: 0; }
.detections th { position: sticky; top: 0; background: var(--background-fill-secondary);
  text-align: left; font-weight: 600; }
.detections th, .detections td { padding: 6px 12px; border: 0; white-space: nowrap; }
.detections tbody tr + tr td { border-top: 1px solid var(--border-color-primary); }
.detections td { font-variant-numeric: tabular-nums; }
.detections .note { padding: 0 12px 6px; }
.swatch { display: inline-block; width: 0.75em; height: 0.75em; border-radius: 3px;
  margin-right: 8px; vertical-align: -1px; }
.bars .label { font-size: 1.4rem; font-weight: 700; margin: 0 0 8px; }
.bar { display: grid; grid-template-columns: 1fr auto; gap: 0 12px; margin-bottom: 8px;
  font-size: 0.9rem; font-variant-numeric: tabular-nums; }
.bar i { grid-column: 1 / 3; height: 8px; min-width: 2px; border-radius: 4px; }
.budget { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 10px 12px; }
.budget p { margin: 0; }
.budget p:first-child { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: center;
  justify-content: space-between; }
.verdict { font-size: 0.8rem; font-weight: 600; border-radius: 999px; padding: 2px 10px;
  white-space: nowrap; }
.verdict.within { color: #05603a; background: #d1fadf; }
.verdict.over { color: #93370d; background: #fef0c7; }
.strip { position: relative; display: flex; height: 14px; margin: 10px 0 8px; overflow: hidden;
  border-radius: 4px; background: var(--background-fill-secondary); }
.strip u { position: absolute; top: 0; bottom: 0; width: 2px; background: var(--body-text-color); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 0.8rem;
  color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
.legend b { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 2px;
  margin-right: 6px; }
.step-0 { background: #6172f3; } .step-1 { background: #12b76a; } .step-2 { background: #f79009; }
.step-3 { background: #ee46bc; } .step-4 { background: #0ba5ec; }
.step-5 { background: #667085; }
#camera-out { border: 1px solid var(--border-color-primary); border-radius: 8px;
  overflow: hidden; min-height: 300px; background: var(--background-fill-secondary); }
#camera-out img { display: block; width: 100%; height: auto; margin: 0; }
#camera-out img[src=""] { visibility: hidden; }
@media (max-width: 640px) {
  .gradio-container main, .gradio-container .main { padding: 8px !important; }
  .detections th, .detections td { padding: 6px 8px; }
  .detections th { white-space: normal; vertical-align: bottom; }
}
"""

# Hides the broken-image icon in gradio's input; the status line has the error.
HEAD = """<script>
for (const [type, visibility] of [["error", "hidden"], ["load", ""]])
  document.addEventListener(type, (event) => {
    if (event.target.closest && event.target.closest("#image-in img"))
      event.target.style.visibility = visibility;
  }, true);
</script>"""
