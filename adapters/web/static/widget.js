// The launcher: it alone loads with the host page, as a classic script or a module; the rest follows when it is wanted.
(() => {
	const script = document.currentScript || document.querySelector('script[src*="widget.js"]');
	if (!script || window.Frontdesk) return;
	const base = new URL(".", script.src).href;
	const prefix = `frontdesk:${base}:`;
	const data = script.dataset;
	const language = (/^[a-z]{2}/i.exec(data.language || document.documentElement.lang || navigator.language) || ["en"])[0].toLowerCase();
	const host = document.createElement("frontdesk-widget");
	const root = host.attachShadow({ mode: "open" });

	// Any CSS colour as [r, g, b]; WCAG contrast.
	const DEFAULT = "#2563eb";
	const rgb = (text) => {
		const brush = document.createElement("canvas").getContext("2d");
		brush.fillStyle = DEFAULT;
		brush.fillStyle = text;
		return (brush.fillStyle[0] === "#" ? brush.fillStyle : DEFAULT).match(/\w\w/g).map((part) => parseInt(part, 16));
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

	const make = (tag, props) => Object.assign(document.createElement(tag), props);
	const launcher = make("button", { className: "launch", ariaExpanded: false, ariaLabel: language === "de" ? "Chat öffnen" : "Open chat" });
	const badge = make("span", { className: "badge", hidden: true });
	launcher.append(badge);
	root.append(launcher);

	let app;
	const call = (name, quiet) => {
		app ||= import(base + "widget/view.js").then((view) => view.start({ base, prefix, data, root, launcher, badge, language, style, paint, contrast }));
		app.then((view) => view[name](quiet), (fault) => {
			app = null; // the next press tries again
			console.warn(fault);
		});
	};
	launcher.onclick = () => call("toggle");
	window.Frontdesk = { open: () => call("open"), close: () => call("close") };

	const style = (css) => {
		const sheet = new CSSStyleSheet();
		sheet.replaceSync(css);
		root.adoptedStyleSheets.push(sheet);
	};
	const begin = async () => {
		style(await (await fetch(base + "widget/launcher.css")).text());
		document.body.append(host);
		let known;
		try {
			known = localStorage.getItem(prefix + "used");
		} catch {} // storage is forbidden
		if ("open" in data && innerWidth > 480) call("open", true);
		else if (known) setTimeout(call, 300, "watch");
	};
	if (document.body) begin();
	else addEventListener("DOMContentLoaded", begin);
})();
