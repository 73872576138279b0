// Elements without markup: strings become attributes and text nodes, everything else becomes a property.
export const h = (tag, props = {}, ...children) => {
	const node = document.createElement(tag);
	for (const [key, value] of Object.entries(props)) {
		if (typeof value === "string") node.setAttribute(key, value);
		else node[key] = value;
	}
	node.append(...children.filter(Boolean));
	return node;
};

export const button = (kind, label, onclick, ...children) =>
	h("button", { type: "button", class: kind, "aria-label": label, title: label, onclick }, ...(children.length ? children : [label]));

// Throws the server's own error, `{detail}`.
export const fetched = async (url, request) => {
	const answer = await fetch(url, { credentials: "omit", ...request });
	if (answer.ok) return answer;
	throw await answer.json().catch(() => answer);
};
export const json = (url) => fetched(url).then((answer) => answer.json());
export const text = (url) => fetched(url).then((answer) => answer.text());

// A document, parsed without running anything.
export const markup = (url) =>
	new Promise((done, onerror) => {
		const request = Object.assign(new XMLHttpRequest(), { responseType: "document", onerror, onload: () => done(request.response) });
		request.open("GET", url);
		request.send();
	});

const SURFACE = { light: [243, 244, 247], dark: [34, 38, 46] };

// The accent, moved towards black or white until it is readable (WCAG AA) on the theme's surfaces.
export const readable = (accent, theme, contrast) => {
	const end = theme === "dark" ? 255 : 0;
	for (let step = 0; ; step++) {
		const colour = accent.map((part) => Math.round(part + ((end - part) * step) / 20));
		if (contrast(colour, SURFACE[theme]) >= 4.6) return `rgb(${colour})`;
	}
};
