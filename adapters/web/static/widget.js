/* Frontdesk: the launcher. It alone loads with the host page; the rest follows when it is wanted. Works as a classic script and as a
 * module, so it finds its own address through the document. */
(() => {
	"use strict";
	const script = document.currentScript || document.querySelector('script[src*="widget.js"]');
	if (!script || window.Frontdesk) return;
	const base = new URL(".", script.src).href;
	const prefix = `frontdesk:${base}:`;
	const data = script.dataset;
	const language = (data.language || document.documentElement.lang || navigator.language).slice(0, 2).toLowerCase();

	const host = document.createElement("frontdesk-widget");
	const root = host.attachShadow({ mode: "open" });
	const sheet = new CSSStyleSheet();
	sheet.replaceSync(`:host{all:initial!important;position:fixed!important;z-index:2147483000!important;inset:auto 0 0 auto!important}
@media print{:host{display:none!important}}
.launch{position:fixed;right:20px;bottom:20px;width:56px;height:56px;padding:16px;border:0;border-radius:50%;cursor:pointer;
background:var(--accent);color:var(--on-accent);box-shadow:0 2px 6px #0003,0 8px 24px #0003;transition:transform .15s}
.launch:hover{transform:scale(1.05)}.launch:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
.launch svg{display:block;width:24px;height:24px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
.launch[aria-expanded=true] .a,.launch[aria-expanded=false] .b{display:none}
.badge{position:absolute;top:-4px;right:-4px;min-width:22px;box-sizing:border-box;padding:0 6px;border-radius:11px;background:#c62828;color:#fff;
font:600 13px/22px system-ui,sans-serif}.badge[hidden]{display:none}
@media(max-width:480px){.launch[aria-expanded=true]{display:none}}@media(prefers-reduced-motion:reduce){.launch{transition:none}}`);
	root.adoptedStyleSheets = [sheet];

	// Colours: any CSS colour as [r, g, b], and the contrast of two as WCAG counts it.
	const rgb = (text) => {
		const brush = document.createElement("canvas").getContext("2d");
		brush.fillStyle = "#2f55d4";
		brush.fillStyle = text || "";
		return /^#/.test(brush.fillStyle) ? brush.fillStyle.match(/\w\w/g).map((part) => parseInt(part, 16)) : [47, 85, 212];
	};
	const luminance = (colour) => {
		const [r, g, b] = colour.map((part) => (part <= 10 ? part / 3295 : ((part / 255 + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
	};
	const contrast = (a, b) => Math.max(luminance(a) / luminance(b), luminance(b) / luminance(a));
	const paint = (text) => {
		const accent = rgb(text);
		host.style.setProperty("--accent", `rgb(${accent})`);
		host.style.setProperty("--on-accent", contrast(accent, [255, 255, 255]) >= 4.5 ? "#fff" : "#000");
		return accent;
	};
	paint(data.color);

	const button = document.createElement("button");
	button.className = "launch";
	button.type = "button";
	button.setAttribute("aria-expanded", "false");
	button.setAttribute("aria-label", language === "de" ? "Chat öffnen" : "Open chat");
	const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
	svg.setAttribute("viewBox", "0 0 24 24");
	svg.setAttribute("aria-hidden", "true");
	const shapes = { a: "M21 11.5a8.5 8.5 0 0 1-12.4 7.6L3 21l1.9-5.6A8.5 8.5 0 1 1 21 11.5z", b: "M6 9l6 6 6-6" };
	for (const [name, d] of Object.entries(shapes)) {
		const path = document.createElementNS(svg.namespaceURI, "path");
		path.setAttribute("class", name);
		path.setAttribute("d", d);
		svg.append(path);
	}
	const badge = document.createElement("span");
	badge.className = "badge";
	badge.hidden = true;
	button.append(svg, badge);
	root.append(button);

	let app;
	const load = () =>
		(app ||= import(base + "widget/view.js")
			.then((view) => view.start({ base, prefix, data, root, launcher: button, badge, language, paint, contrast }))
			.catch((fault) => {
				app = null;
				throw fault;
			}));
	const call = (name, quiet) => load().then((view) => view[name](quiet), (fault) => console.warn("Frontdesk did not load.", fault));
	button.onclick = () => call("toggle");
	button.onpointerenter = () => load().catch(() => {});
	window.Frontdesk = { open: () => call("open"), close: () => call("close") };

	const begin = () => {
		document.body.append(host);
		let known = false;
		try {
			known = !!localStorage.getItem(prefix + "used");
		} catch {
			// storage is forbidden: nothing is known
		}
		const idle = window.requestIdleCallback || setTimeout;
		if ("open" in data && innerWidth > 480) idle(() => call("open", true));
		else if (known) idle(() => call("watch"));
	};
	if (document.body) begin();
	else addEventListener("DOMContentLoaded", begin);
})();
