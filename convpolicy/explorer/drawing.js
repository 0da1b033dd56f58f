// Draws one plan as SVG, in the style of the pictures that Python draws.

const CELL = 30, ROW = 20, MARGIN = 78, HEIGHT = 26, ARCS = 44;
const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);

function drawn(plan, other, view, first, last, name) {
  const x = (position) => MARGIN + (position - first + 0.5) * CELL;
  const rows = [];
  let y = 4;
  const cells = [...plan.cells.entries()];
  if (cells.some(([, cell]) => cell.kind === "copy" || cell.kind === "sum")) {
    y += ARCS;
    for (const [position, cell] of cells)
      for (const [, source] of cell.kind === "copy" || cell.kind === "sum" ? cell.terms : [])
        if (source >= 0) {
          const top = Math.max(y - Math.min(Math.abs(x(position) - x(source)) * 0.4 + 8, ARCS * 1.3), 2);
          rows.push(`<path class="arc ${cell.kind}" data-from="${position}" d="M${x(position)} ${y}C${x(position)} ${top} ${x(source)} ${top} ${x(source)} ${y}"/>`);
        }
  }
  for (const [position, cell] of cells) {
    const differs = other && other.cells && !sameCell(cell, other.cells.get(position));
    const box = `x="${x(position) - CELL / 2}" y="${y}" width="${CELL}" height="${HEIGHT}"`;
    rows.push(`<g class="cell ${cell.kind}${differs ? " differs" : ""}" data-position="${position}"><rect ${box}/>` +
      (cell.kind === "constant" ? `<rect class="hatching" ${box}/>` : "") +
      `<text x="${x(position)}" y="${y + 17}" text-anchor="middle">${escaped(cell.text)}</text>` +
      (cell.kind === "cut" ? `<path class="strike" d="M${x(position) - 11} ${y + HEIGHT - 4}L${x(position) + 11} ${y + 4}"/>` : "") + "</g>");
  }
  for (const edge of [0, plan.transposed ? plan.outputs : view.length])
    rows.push(`<path class="edge" d="M${x(edge) - CELL / 2} ${y - 3}V${y + HEIGHT + 3}"/>`);
  y += HEIGHT + 8;
  for (let output = 0; output < plan.bars; output += 1, y += ROW) {
    const taps = reads(plan, view, output);
    const start = x(taps[0]) - CELL / 2 + 3, end = x(taps[taps.length - 1]) + CELL / 2 - 3;
    rows.push(`<g class="bar" data-output="${output}"><rect class="hit" x="0" y="${y}" width="${x(last) + CELL}" height="${ROW}"/>` +
      `<text x="${MARGIN - 8}" y="${y + 12}" text-anchor="end">${plan.transposed ? "sample" : "output"} ${output}</text>` +
      `<rect class="span" x="${start}" y="${y + 3}" width="${end - start}" height="12" rx="6"/>` +
      `<path class="taps" d="${taps.map((tap) => `M${x(tap)} ${y + 9}h0`).join("")}"/></g>`);  // one element for all taps, since the drawing is replaced often
  }
  if (!plan.outputs) {
    const nothing = plan.transposed ? "everything is cut away" : `no window of ${(view.kernel - 1) * view.dilation + 1} fits`;
    rows.push(`<text x="${MARGIN}" y="${y + 12}">${nothing}</text>`);
    y += ROW;
  }
  const width = MARGIN + (last - first + 1) * CELL + 8;
  return `<svg data-side="${name}" width="${width}" height="${y + 6}" viewBox="0 0 ${width} ${y + 6}" aria-hidden="true">${rows.join("")}</svg>`;
}

function sameCell(cell, other) {
  return Boolean(other) && cell.kind === other.kind && cell.text === other.text && JSON.stringify(cell.terms) === JSON.stringify(other.terms);
}

const HATCHING = '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs><pattern id="hatching" width="6" height="6" patternUnits="userSpaceOnUse"><path d="M0 6L6 0" stroke="currentColor" stroke-width=".7" stroke-opacity=".6"/></pattern></defs></svg>';
const LEGEND = {
  sample: "sample of the input, numbered from 1", copy: "added: copy of the sample with this number", sum: "added: sum of samples (c: the constant)",
  constant: "added: constant (w: learned)", cut: "cut away, not read", differs: "differs from the other drawing", window: "window of one output, a dot at each tap",
};

function legend(kinds) {
  return Object.entries(state.up ? LEGEND_TRANSPOSED : LEGEND).filter(([kind]) => kinds.has(kind)).map(([kind, text]) => {
    const box = 'x="1" y="1" width="14" height="12"';
    const mark = kind === "window" ? '<g class="bar"><rect x="0" y="2" width="16" height="10" rx="5"/><path class="taps" d="M8 7h0"/></g>'
      : `<g class="cell ${kind === "differs" ? "sample differs" : kind}"><rect ${box}/>${kind === "constant" ? `<rect class="hatching" ${box}/>` : ""}` +
        `${kind === "cut" ? '<path class="strike" d="M3 11L13 3"/>' : ""}${kind === "sum" ? '<text x="8" y="11" text-anchor="middle" font-size="10" fill="currentColor">Σ</text>' : ""}</g>`;
    return `<li><svg width="16" height="14" aria-hidden="true">${mark}</svg>${text}</li>`;
  }).join("");
}
