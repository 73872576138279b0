// The messages in the order of `seq`; what is not stored yet comes after them, drafts last.
import { button, h } from "./dom.js";
import { clean, render } from "./markdown.js";

const REVEAL_MS = 40;

export const makeRows = ({ t, list, template, language, icon, choice, name, file, send, retry, edit, cite, changed }) => {
	const rows = new Map();
	const pressed = new Map();
	const still = matchMedia("(prefers-reduced-motion: reduce)");
	const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
	const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
	const all = () => Array.from(list.children, ({ row }) => row);

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
		const chip = (citation) => button("chip", t("source", { number: citation.number, title: clean(citation.title) }), () => cite(citation), `${citation.number}`);
		const numbered = (n) => {
			const citation = citations.find(({ number }) => number === n);
			return citation && placed.add(n) && chip(citation);
		};
		if (author === "user") body.textContent = clean(text);
		else render(body, text, numbered);
		files.replaceChildren(...(message.attachments || []).map(file));
		sources.replaceChildren(t("sources"), ...citations.filter(({ number }) => !placed.has(number)).map(chip));
		choices.replaceChildren(...(message.buttons || []).map((one) => press(message.id, one)));
		meta.replaceChildren(...about(row));
	};

	const press = (message, { id, label }) => {
		const mark = (node, own) => {
			node.ariaDisabled = pressed.has(message);
			if (own) node.ariaPressed = pressed.get(message) === id;
		};
		const node = choice(clean(label), () => {
			if (pressed.has(message)) return;
			pressed.set(message, id);
			for (const other of node.parentNode.children) mark(other, other === node);
			send({ type: "press", message, button: id });
		});
		mark(node, true);
		return node;
	};

	const about = ({ author, message, pending }) => {
		const state = (key, more = "") => h("span", { class: "state " + more }, icon(key), t(key));
		const act = (key, onclick) => button("text", t(key), () => onclick(pending));
		if (pending?.error) return [state("failed", "bad"), pending.error.trim() || t("tooLong"), act("retry", retry), act("edit", edit)];
		if (pending) return [state("sending")];
		const at = new Date(message.at_ms);
		const time = h("time", { datetime: at.toISOString(), title: exact.format(at) }, ago(at));
		return [time, ...(author === "user" ? [state("sent")] : author === "agent" ? thumbs(message) : [])];
	};

	const thumbs = ({ id, feedback }) => {
		const mark = (thumb, value) => (thumb.ariaPressed = thumb.value === value);
		const both = ["up", "down"].map((value) => {
			const thumb = button("thumb", t(value), () => {
				for (const other of both) mark(other, value);
				send({ type: "feedback", message: id, value });
			}, icon(value));
			thumb.value = value;
			mark(thumb, feedback);
			return thumb;
		});
		return both;
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
			if (announce && author !== "user") announce(`${by(row)}: ${row.body.innerText}`);
		},

		pending(message) {
			update(rowOf(message.id), { message, author: "user", pending: message });
		},

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
			if (!row.shown) return;
			update(rowOf(id), { author: "system" });
			rowOf(id).body.textContent = t("withdrawn");
		},

		drop(which) {
			for (const [id, row] of rows) if (which(row)) remove(id);
		},

		last: () => Math.max(0, ...all().map(({ seq }) => seq || 0)),
		unread: (read) => all().filter(({ author, seq }) => author !== "user" && seq > read).length,

		transcript() {
			const said = all().filter(({ message, el }) => message && !el.hidden);
			return said.map((row) => `[${exact.format(row.message.at_ms)}] ${by(row)}\n${row.message.text}\n`).join("\n");
		},

		hide(from) {
			for (const row of all()) row.el.hidden = row.seq <= from;
		},

		age() {
			for (const node of list.querySelectorAll("time")) node.textContent = ago(new Date(node.dateTime));
		},
	};
};
