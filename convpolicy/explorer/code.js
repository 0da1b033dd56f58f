// The code of A and B, one tab for each framework.

function conv1dCall(name) {
  const side = state[name], policy = offered().policies.find((known) => known.name === side.policy), parts = ["16", "32", state.kernel];
  if (state.stride > 1) parts.push(`stride=${state.stride}`);
  if (state.dilation > 1) parts.push(`dilation=${state.dilation}`);
  parts.push(`policy="${policy.name}"`);
  if (side.padding) parts.push(`padding=${pythonOf(side.padding)}`);
  if (side.mode) parts.push(`padding_mode=${pythonOf(side.mode)}`);
  return `import convpolicy as cp\n\nlayer = cp.${state.up ? "ConvTranspose1d" : "Conv1d"}(${parts.join(", ")})`;
}

function pythonOf(text) {
  if (/^-?\d/.test(text)) return `(${text.split(",").length > 1 ? text.split(",").join(", ") : `${text}, ${text}`})`;
  const match = text.match(/^([^()]+)\((.*)\)$/);
  if (!match) return `"${text}"`;
  const settings = match[2].split(", ").map((setting) => setting.replace(/=(.*)$/, (_, value) => `=${/^(-?[\d.e+-]+|True|False)$/.test(value) ? value : `"${value}"`}`));
  return `cp.Choice("${match[1]}", ${settings.join(", ")})`;
}

const frameworks = () => ["convpolicy", ...Object.keys(DATA.codes)];

function showCode() {
  const names = frameworks();
  if (!names.includes(state.framework)) state.framework = "convpolicy";
  const focused = document.activeElement && document.activeElement.dataset.framework;
  byId("frameworks").innerHTML = names.map((name) =>
    `<button type="button" role="tab" id="tab-${escaped(name)}" data-framework="${escaped(name)}" aria-controls="code" aria-selected="${name === state.framework}" tabindex="${name === state.framework ? 0 : -1}">${escaped(name)}</button>`).join("");
  if (focused) byId(`tab-${state.framework}`).focus();
  byId("code").setAttribute("aria-labelledby", `tab-${state.framework}`);
  byId("code").innerHTML = SIDES.map((name) => {
    const written = state.framework === "convpolicy" ? { code: conv1dCall(name) } : codeOf(state.framework, plans[name], state);
    const title = `${name.toUpperCase()} in ${state.framework}`;
    return `<div><h3>${escaped(title)}${written.code ? ` <button type="button" data-copy="${name}" aria-label="Copy the code of ${name.toUpperCase()}">Copy</button>` : ""}</h3>` +
      (written.code ? `<pre tabindex="0" aria-label="${escaped(title)}"><code>${escaped(written.code.trimEnd())}</code></pre>` : `<p>– ${escaped(written.reason)}</p>`) + "</div>";
  }).join("");
}
