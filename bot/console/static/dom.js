// Elements without markup: strings become attributes and text nodes, everything else becomes a property.
const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
	back: "M15 5l-7 7 7 7",
	bell: "M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4",
	check: "M5 13l4 4L19 7",
	checks: "M2 13l4 4L15 7M11 16l1 1L22 7",
	clock: "M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0",
	clip: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.4 3.4 0 0 1 5 5l-8.5 8.5a1.7 1.7 0 0 1-2.500-2.500L15 7",
	close: "M6 6l12 12M18 6L6 18",
	file: "M14 3H6v18h12V7zM14 3v4h4",
	info: "M12 11v6M12 7v.5M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0",
	lock: "M6 11h12v9H6zM8 11V8a4 4 0 0 1 8 0v3",
	more: "M5 12h.1M12 12h.1M19 12h.1",
	warn: "M12 9v5M12 17.500v.1M12 3L2 20h20z",
};

export const h = (tag, props = {}, ...children) => {
	const node = document.createElement(tag);
	for (const [key, value] of Object.entries(props)) {
		if (value === undefined || value === null) continue;
		if (typeof value === "string") node.setAttribute(key, value);
		else node[key] = value;
	}
	node.append(...children.flat().filter((child) => child || child === 0));
	return node;
};

export const icon = (name) => {
	const svg = document.createElementNS(SVG, "svg");
	const path = document.createElementNS(SVG, "path");
	svg.setAttribute("viewBox", "0 0 24 24");
	svg.setAttribute("aria-hidden", "true");
	path.setAttribute("d", ICONS[name]);
	svg.append(path);
	return svg;
};

export const button = (kind, label, onclick, ...children) =>
	h("button", { type: "button", class: kind, "aria-label": children.length ? label : null, title: children.length ? label : null, onclick }, ...(children.length ? children : [label]));

// Whoever reads with the ears hears it once, when it is finished.
export const announce = (text) => {
	document.getElementById("live").textContent = text;
};

// A sentence at the edge of the page: what a command did. It stays until the next one, or ten seconds.
let leaving;
export const tell = (text, kind = "") => {
	const place = document.getElementById("told");
	clearTimeout(leaving);
	place.replaceChildren(text ? h("p", { class: `toast ${kind}` }, text) : "");
	leaving = setTimeout(() => place.replaceChildren(), 10_000);
};

// A text that changes with the time: `words()` is asked again every second.
export const ticking = (words, props = {}) => {
	const node = h("span", { ...props, "data-tick": "" }, words());
	node.tick = () => {
		const next = words();
		if (node.textContent !== next) node.textContent = next;
	};
	return node;
};

export const tick = () => {
	for (const node of document.querySelectorAll("[data-tick]")) node.tick?.();
};

// Without TLS there is no crypto.randomUUID.
export const uuid = () =>
	"10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) => (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16));
