// Elements without markup: strings become attributes or text nodes, functions and booleans become properties.

export const h = (tag, props = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === "string") node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children.filter((child) => child || child === 0));
  return node;
};

const SHAPES = {
  more: "M12 5h.01M12 12h.01M12 19h.01",
  close: "M6 6l12 12M18 6L6 18",
  send: "M12 19V5M5 12l7-7 7 7",
  clip: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7l-8.6 8.5a1.7 1.7 0 0 1-2.4-2.4L14 7.600",
  up: "M7 10v11H4a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1zl4-7.500a2.500 2.500 0 0 1 3 2.500v4h5a2 2 0 0 1 2 2.300l-1.200 8a2 2 0 0 1-2 1.700H7",
  check: "M5 12l5 5 9-10",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2",
  alert: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 8v4M12 16h.01",
  file: "M14 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8zv5h5",
  down: "M12 5v14M6 13l6 6 6-6",
};

export const icon = (name, turned) => {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[name]);
  if (turned) path.setAttribute("transform", "rotate(180 12 12)");
  svg.append(path);
  return svg;
};

const GROUNDS = { light: [243, 244, 247], dark: [34, 38, 46] };

/** The accent moved towards black or white until it is readable (WCAG AA) as text on every surface of the theme. */
export const readable = (accent, theme, contrast) => {
  const end = theme === "dark" ? 255 : 0;
  for (let step = 0; ; step++) {
    const colour = accent.map((part) => Math.round(part + ((end - part) * step) / 20));
    if (step === 20 || contrast(colour, GROUNDS[theme]) >= 4.6) return `rgb(${colour})`;
  }
};
