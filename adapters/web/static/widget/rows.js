// The messages in the order of `seq`; what is not stored yet comes after them, drafts last.
import { button, h } from "./dom.js";
import { clean, render } from "./markdown.js";

const REVEAL_MS = 40;

export const makeRows = ({ t, list, template, language, icon, name, file, send, retry, edit, cite, changed }) => {
	const rows = new Map();
	const pressed = new Map();
	const still = matchMedia("(prefers-reduced-motion: reduce)");
	const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
	const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
	const all = () => [...list.children].map(({ row }) => row);

	const rowOf = (id) => {
		if (!rows.has(id)) {
			const el = template.cloneNode(true);
			el.row = { el, body: el.children[1] };
			rows.set(id, el.row);
		}
		return rows.get(id);
	};

	const update = (row, fields) => {
		Object.assign(row, fields);
		fill(row);
		const order = ({ seq, draft }) => seq ?? (draft ? Infinity : 1e15);
		let before = null;
		for (let el = list.lastChild; el && order(el.row) > order(row); el = el.previousSibling) before = el;
		if (!row.el.parentNode || row.el.nextSibling !== before) list.insertBefore(row.el, before);
		changed(row);
	};

	const quiet = (id, said, seq) => {
		rowOf(id).body.textContent = said;
		update(rowOf(id), { author: "system", seq });
	};

	const last = () => Math.max(0, ...all().map(({ seq }) => seq || 0));

	const remove = (id) => {
		const row = rows.get(id);
		rows.delete(id);
		row.gone = true;
		row.el.remove();
		changed();
	};

	// Whole words, faster the more there are.
	const reveal = (row) => {
		row.timer = 0;
		if (!row.draft || row.gone) return;
		const { text, shown } = row;
		const rest = text.length - shown;
		const goal = shown + Math.ceil(rest / 8);
		const space = text.slice(goal).search(/\s/);
		if (still.matches || (space < 0 && rest > 24)) row.shown = text.length;
		else if (space >= 0) row.shown = goal + space + 1;
		if (row.shown === shown) return;
		render(row.body, text.slice(0, row.shown), undefined, true);
		row.timer = setTimeout(reveal, REVEAL_MS, row);
		changed(row);
	};

	const by = ({ author, message }) => clean(message?.name) || { user: t("you"), agent: name(), operator: t("person") }[author] || "";

	const fill = (row) => {
		const { el, body, author, message } = row;
		const [name, , files, sources, choices, meta] = el.children;
		el.className = "row " + author;
		name.textContent = by(row);
		if (!message) return;
		const { text, citations = [] } = message;
		const placed = new Set();
		const chip = (citation) => button("chip", t("source", { ...citation, title: clean(citation.title) }), () => cite(citation), `${citation.number}`);
		const numbered = (n) => {
			const citation = citations.find(({ number }) => number === n);
			return citation && placed.add(n) && chip(citation);
		};
		if (author === "user") body.textContent = clean(text);
		else render(body, text, numbered);
		files.replaceChildren(...(message.attachments || []).map(file));
		sources.replaceChildren(t("sources"), ...citations.filter(({ number }) => !placed.has(number)).map(chip));
		choices.replaceChildren(...presses(message));
		meta.replaceChildren(...about(row));
	};

	const named = (name, node) => Object.assign(node, { name });
	const mark = (nodes, chosen, done = false) => nodes.map((node) => Object.assign(node, { ariaPressed: node.name === chosen, ariaDisabled: done }));

	const presses = ({ id: message, buttons = [] }) => {
		const show = () => mark(nodes, pressed.get(message), pressed.has(message));
		const nodes = buttons.map(({ id, label }) => named(id, button("choice", clean(label), () => {
			if (pressed.has(message)) return;
			pressed.set(message, id);
			show();
			send({ type: "press", message, button: id });
		})));
		return show();
	};

	const about = ({ author, message, pending }) => {
		const state = (key, more = "") => h("span", { class: "state " + more }, icon(key), t(key));
		const act = (key, onclick) => button("text", t(key), () => onclick(pending));
		if (pending?.error) return [state("failed", "bad"), pending.error.trim() || t("tooLong"), act("retry", retry), act("edit", edit)];
		if (pending) return [state("sending")];
		const at = new Date(message.at_ms);
		const more = author === "user" ? [state("sent")] : author === "agent" ? thumbs(message) : [];
		return [h("time", { datetime: at.toISOString(), title: exact.format(at) }, ago(at)), ...more];
	};

	const thumbs = ({ id, feedback }) => {
		const both = ["up", "down"].map((value) => named(value, button("thumb", t(value), () => {
			mark(both, value);
			send({ type: "feedback", message: id, value });
		}, icon(value))));
		return mark(both, feedback);
	};

	const ago = (at) => {
		const seconds = (Date.now() - at) / 1000;
		const [size, unit] = seconds < 3600 ? [60, "minute"] : seconds < 86400 ? [3600, "hour"] : [86400, "day"];
		return seconds < 45 ? t("moment") : relative.format(-Math.round(seconds / size), unit);
	};

	return {
		remove,

		show(message, announce) {
			const { id, seq, author } = message;
			const row = rowOf(id);
			const json = JSON.stringify(message);
			if (row.json === json) return;
			update(row, { json, message, seq, author, draft: false });
			const who = by(row);
			if (announce && author !== "user") announce((who && who + ": ") + row.body.innerText);
		},

		pending: (message) => update(rowOf(message.id), { message, author: "user", pending: message }),

		acknowledge(id, message, seq) {
			const row = rows.get(id);
			if (!row) return;
			if (rows.has(message)) return remove(id);
			rows.delete(id);
			rows.set(message, row);
			update(row, { seq, pending: null });
		},

		delta({ message, text }) {
			const row = rowOf(message);
			if (row.message) return; // the final text is here already
			if (!row.draft) update(row, { draft: true, author: "agent", text: "", shown: 0 });
			row.text += text;
			row.timer ||= setTimeout(reveal, REVEAL_MS, row);
		},

		withdraw(id) {
			const row = rows.get(id);
			if (!row?.draft) return;
			remove(id);
			if (row.shown) quiet(id, t("withdrawn"));
		},

		// Stands before the first words of that person that follow what others said, or at the end.
		join(name, announce) {
			const others = all().findLastIndex((row) => row.author !== "user" && by(row) !== name);
			const first = all().find(({ author }, at) => at > others && author === "operator");
			const seq = first ? first.seq - 0.5 : last() + 0.001;
			quiet("joined" + seq, t("joined", { name }), seq);
			announce?.(t("joined", { name }));
		},

		drop(which) {
			for (const [id, row] of rows) if (which(row)) remove(id);
		},

		last,
		unread: (read) => all().filter(({ message, author, seq }) => message && author !== "user" && seq > read).length,

		transcript: () =>
			all().filter(({ message, el }) => message && !el.hidden).map((row) => `[${exact.format(row.message.at_ms)}] ${by(row)}\n${row.message.text}\n`).join("\n"),

		hide: (from) => all().forEach((row) => (row.el.hidden = row.seq <= from)),
		age: () => list.querySelectorAll("time").forEach((node) => (node.textContent = ago(new Date(node.dateTime)))),
	};
};
