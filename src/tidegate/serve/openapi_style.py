"""Looks of the page of the OpenAPI document: nothing is loaded from elsewhere."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root { --ink: #14202b; --soft: #5a6b7b; --line: #dde4ea; --paper: #ffffff; --wash: #f4f7f9;
  --sea: #0b6e8f; --code: #0f1d2a; --code-ink: #d8e6f0; --get: #0b7a5b; --post: #0b5fa5;
  --delete: #b3372f; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3ebf2; --soft: #93a5b5; --line: #2a3947;
  --paper: #111a22; --wash: #18242f; --sea: #5cc0dd; --code: #0a1119; --get: #27a37e;
  --post: #3d8fd6; --delete: #d9655d; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 16px; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
a { color: var(--sea); text-decoration: none; }
a:hover { text-decoration: underline; }
code, pre, .path { font-family: ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace;
  font-size: 13px; }
p code, td code, li code { background: var(--wash); border: 1px solid var(--line);
  border-radius: 4px; padding: 0 4px; }
.frame { display: grid; grid-template-columns: 264px minmax(0, 1fr); max-width: 1280px;
  margin: 0 auto; }
nav { position: sticky; top: 0; align-self: start; height: 100vh; overflow-y: auto;
  padding: 28px 20px; border-right: 1px solid var(--line); }
nav .brand { font-weight: 700; font-size: 20px; letter-spacing: -0.01em; }
nav .brand small { color: var(--soft); font-weight: 400; font-size: 13px; margin-left: 6px; }
nav h2 { margin: 22px 0 4px; font-size: 12px; letter-spacing: 0.06em; text-transform: uppercase;
  color: var(--soft); overflow-wrap: anywhere; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: grid; grid-template-columns: 34px 1fr; gap: 8px; padding: 3px 0;
  color: var(--ink); font-size: 13.5px; line-height: 1.4; }
nav li a.plain { display: block; }
nav .verb { font: 600 10px/19px ui-monospace, monospace; }
main { padding: 36px 44px 80px; }
h1 { margin: 0 0 8px; font-size: 32px; letter-spacing: -0.02em; }
h1 + p { font-size: 16px; }
.lead { color: var(--soft); max-width: 68ch; }
section > h2 { margin: 52px 0 4px; font-size: 23px; letter-spacing: -0.01em; }
article { margin: 22px 0; border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
article > header { display: flex; flex-wrap: wrap; align-items: center; gap: 10px;
  padding: 12px 18px; background: var(--wash); border-bottom: 1px solid var(--line); }
article .path { font-size: 14px; font-weight: 600; overflow-wrap: anywhere; }
article .path i { color: var(--sea); font-style: normal; }
article .what { margin-left: auto; color: var(--soft); font-size: 14px; }
article .inside { padding: 6px 18px 16px; }
.badge { color: #fff; font: 700 11px/1 ui-monospace, monospace; padding: 6px 8px;
  border-radius: 5px; }
.badge.get { background: var(--get); } .badge.post { background: var(--post); }
.badge.delete { background: var(--delete); }
.verb.get { color: var(--get); } .verb.post { color: var(--post); }
.verb.delete { color: var(--delete); }
h4 { margin: 18px 0 6px; font-size: 12px; letter-spacing: 0.06em; text-transform: uppercase;
  color: var(--soft); }
.shell { position: relative; margin: 6px 0; }
pre { margin: 0; padding: 12px 84px 12px 14px; white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--code); color: var(--code-ink);
  border-radius: 8px; line-height: 1.5; }
.shell button { position: absolute; top: 8px; right: 8px; border: 1px solid #3b5063;
  border-radius: 5px; background: #1d3040; color: #cfe0ec; font: 12px/1 inherit;
  padding: 5px 9px; cursor: pointer; }
.shell button:hover { background: #29435a; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { text-align: left; font-size: 12px; color: var(--soft); font-weight: 600; }
th, td { padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.name { white-space: nowrap; width: 1%; padding-right: 24px; }
td.kind { color: var(--soft); white-space: nowrap; }
.members { table-layout: fixed; }
.members td { width: 40%; overflow-wrap: anywhere; }
.members td.name { width: 26%; white-space: normal; }
.members td.kind { width: 34%; white-space: normal; }
.holds { margin-left: 12px; color: var(--soft); }
.short span { display: inline-block; margin-right: 18px; }
.short b { font: 600 12.5px/1 ui-monospace, "DejaVu Sans Mono", monospace; }
.statuses dd code, .inside > p > code { background: var(--wash); border: 1px solid var(--line);
  border-radius: 4px; padding: 0 4px; }
.need { color: var(--delete); font-size: 12px; margin-left: 4px; }
.statuses { display: grid; grid-template-columns: 34px 1fr; gap: 2px 12px; margin: 10px 0 0;
  font-size: 13.5px; }
.statuses dt { font: 600 12.5px/21px ui-monospace, "DejaVu Sans Mono", monospace; }
.statuses dd { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
.statuses .bad { color: var(--delete); } .statuses .good { color: var(--get); }
.schema { margin: 18px 0; padding: 4px 18px 8px; border: 1px solid var(--line);
  border-radius: 10px; }
.schema h3 { margin: 12px 0 2px; font: 600 15px ui-monospace, "DejaVu Sans Mono", monospace; }
@media (max-width: 860px) { .frame { display: block; } nav { position: static; height: auto;
  border-right: 0; border-bottom: 1px solid var(--line); } main { padding: 24px 18px 60px; }
  article .what { margin-left: 0; width: 100%; } }
@media print { nav, .shell button { display: none; } .frame { display: block; } }
"""

SCRIPT = """
for (const code of document.querySelectorAll(".shell code")) {
  if (location.protocol.startsWith("http"))
    code.textContent = code.textContent.replaceAll("http://127.0.0.1:8700", location.origin);
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.onclick = async () => {
    if (navigator.clipboard) await navigator.clipboard.writeText(code.textContent);
    else { getSelection().selectAllChildren(code); document.execCommand("copy"); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1200);
  };
  code.closest(".shell").append(button);
}
"""
