"""Looks of a page: light and dark, on a screen and on paper."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { --ink: #1b2530; --soft: #5c6b79; --line: #dde4ea; --paper: #ffffff; --wash: #f4f7f9;
  --sea: #0b6e8f; --blue: #0072B2; --grid: #e6e6e6; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3ebf2; --soft: #9aabba; --line: #2a3947;
  --paper: #111a22; --wash: #18242f; --sea: #5cc0dd; --blue: #3d9bdc; --grid: #2a3947; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 16px; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
a { color: var(--sea); text-decoration: none; }
a:hover { text-decoration: underline; }
.frame { display: grid; grid-template-columns: 232px minmax(0, 1fr); max-width: 1240px;
  margin: 0 auto; }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto;
  padding: 44px 20px 28px; font-size: 14px; }
nav .brand { margin: 0 0 14px; font-weight: 650; overflow-wrap: anywhere; }
nav ol { list-style: none; margin: 0; padding: 0; border-left: 1px solid var(--line); }
nav li a { display: block; padding: 3px 0 3px 14px; color: var(--soft); }
nav li a:hover { color: var(--sea); }
main { padding: 36px 44px 60px; border-left: 1px solid var(--line); }
h1 { margin: 0 0 8px; font-size: 30px; line-height: 1.2; letter-spacing: -0.02em;
  overflow-wrap: anywhere; }
.lead { margin: 0 0 20px; color: var(--soft); max-width: 72ch; overflow-wrap: anywhere; }
.findings { margin: 0; padding: 14px 20px 14px 36px; background: var(--wash);
  border-radius: 10px; max-width: 78ch; }
.findings li { margin: 3px 0; overflow-wrap: anywhere; }
.findings a { font-size: 13px; white-space: nowrap; }
h2 { margin: 52px 0 14px; padding-top: 18px; border-top: 1px solid var(--line); font-size: 22px;
  letter-spacing: -0.01em; }
h3 { margin: 22px 0 6px; font-size: 17px; }
h4 { margin: 20px 0 6px; font-size: 15px; }
p { margin: 0; max-width: 72ch; overflow-wrap: anywhere; }
.blocks { display: flex; flex-wrap: wrap; gap: 26px 40px; align-items: flex-start; }
.blocks > p, .blocks > .card, .blocks > .tiles, .blocks > .table { flex: 1 0 100%; min-width: 0; }
figure { margin: 0; min-width: 0; max-width: 100%; }
figure.table { width: 100%; }
figcaption { margin-top: 8px; color: var(--soft); font-size: 13.5px; line-height: 1.5;
  max-width: 72ch; overflow-wrap: anywhere; }
.chart { max-width: 100%; overflow-x: auto; }
.chart svg, .chart img { display: block; max-width: 100%; height: auto; }
.chart text { font-family: system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
.chart [fill="#222222"] { fill: var(--ink); }
.chart [stroke="#222222"] { stroke: var(--ink); }
.chart [fill="#666666"] { fill: var(--soft); }
.chart [stroke="#666666"] { stroke: var(--soft); }
.chart [stroke="#e6e6e6"] { stroke: var(--grid); }
.chart [fill="#0072B2"] { fill: var(--blue); }
.chart [stroke="#0072B2"] { stroke: var(--blue); }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 0; }
.tiles > div { padding: 10px 18px 12px; background: var(--wash); border-radius: 10px;
  min-width: 130px; }
.tiles dt { color: var(--soft); font-size: 13px; }
.tiles dd { margin: 0; }
.tiles b { display: block; font-size: 25px; line-height: 1.25; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.tiles small { color: var(--soft); font-size: 12.5px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; line-height: 1.45; }
th { text-align: left; font-size: 12.5px; color: var(--soft); font-weight: 600;
  vertical-align: bottom; }
th, td { padding: 5px 22px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  max-width: 44ch; overflow-wrap: break-word; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.shaded, th.shaded { padding: 6px 12px; }
td.shaded { border: 2px solid var(--paper); border-radius: 4px;
  background: color-mix(in srgb, var(--blue) calc(var(--share) * 0.8), var(--wash)); }
.card { padding: 4px 22px 16px; border: 1px solid var(--line); border-radius: 10px; }
.card h3:first-child { margin-top: 12px; }
.card table { display: block; overflow-x: auto; }
.card p, .card li { margin: 4px 0; }
footer { margin-top: 56px; padding-top: 14px; border-top: 1px solid var(--line);
  color: var(--soft); font-size: 13px; }
@media (max-width: 900px) { .frame { display: block; } nav { position: static; max-height: none;
  padding: 24px 18px 0; } nav .brand { display: none; }
  main { padding: 18px 18px 48px; border-left: 0; } }
@media print { :root { --ink: #000; --soft: #444; --line: #ccc; --paper: #fff; --wash: #f4f4f4;
  --sea: #0b6e8f; --blue: #0072B2; --grid: #ddd; color-scheme: light; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10.5pt; } .frame { display: block; } nav { position: static;
  max-height: none; padding: 0 0 10px; } nav .brand { display: none; }
  nav ol { columns: 2; border: 0; } main { padding: 0; border: 0; }
  .wide, .card table { overflow: visible; } table { font-size: 8pt; }
  th, td { padding-right: 12px; white-space: normal; } .blocks { gap: 16px 4%; }
  figure { max-width: 48%; } figure.broad, figure.table { max-width: 100%; }
  h2, h3, h4 { break-after: avoid; } figure, tr, .tiles > div { break-inside: avoid; } }
"""
