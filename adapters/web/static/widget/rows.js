// The messages, by id and in the order of `seq`; what is not stored yet comes after them, drafts last.
import { button, h } from "./dom.js";
import { clean, render } from "./markdown.js";

const REVEAL_MS = 40;

export const makeRows = ({ t, list, language, icon, choice, name, file, send, retry, edit, cite, changed }) => {
	const rows = new Map();
	const pressed = new Map();
	const still = matchMedia("(prefers-reduced-motion: reduce)");
	const relative = new Intl.RelativeTimeFormat([language, "en"], { numeric: "auto", style: "short" });
	const exact = new Intl.DateTimeFormat([language, "en"], { dateStyle: "medium", timeStyle: "short" });
	const all = () => Array.from(list.children, ({ row }) => row);

	const rowOf = (id) => {
		if (!rows.has(id)) {
			const row = { el: h("article"), body: h("div", { class: "body", dir: "auto" }), meta: h("div", { class: "meta" }) };
			row.el.row = row;
			rows.set(id, row);
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

	// Whole words, sooner the more there are; half a word waits for its end.
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
		const { el, body, meta, author, message } = row;
		el.className = "row " + author;
		if (!message) return el.replaceChildren(h("div", { class: "by", dir: "auto" }, by(row)), body);
		const { id, text, attachments = [], citations = [], buttons = [], consent } = message;
		const placed = new Set();
		const chip = (citation) => {
			const label = t("source", { number: citation.number, title: clean(citation.title) });
			return button("chip", { "aria-label": label, title: label, onclick: ({ target }) => cite(citation, target) }, `${citation.number}`);
		};
		const numbered = (n) => {
			const citation = citations.find(({ number }) => number === n);
			return citation && placed.add(n) && chip(citation);
		};
		if (author === "user") body.textContent = clean(text);
		else render(body, text, numbered);
		const left = citations.filter(({ number }) => !placed.has(number));
		meta.replaceChildren(...metaOf(row));
		el.replaceChildren(
			h("div", { class: "by", dir: "auto" }, by(row)),
			body,
			h("div", { class: "files" }, ...attachments.map(file)),
			consent ? consentOf(consent) : "",
			h("div", { class: "meta sources" }, t("sources"), ...left.map(chip)),
			h("div", { class: "choices" }, ...buttons.map((one) => press(id, one))),
			meta,
		);
	};

	// Every argument that will be used; characters that cannot be seen are made visible.
	const consentOf = ({ title, arguments: values = {} }) => {
		const hex = (c) => `⟨U+${c.codePointAt().toString(16).padStart(4, 0)}⟩`;
		const visible = (value) => (typeof value === "string" ? value : JSON.stringify(value)).replace(/[\p{Cc}\p{Cf}]/gu, hex);
		const line = ([key, value]) => h("tr", {}, h("th", {}, visible(key)), h("td", {}, h("bdi", {}, visible(value))));
		return h("div", { class: "consent" }, h("b", {}, visible(title || "")), h("table", {}, ...Object.entries(values).map(line)));
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

	const metaOf = ({ author, message, pending }) => {
		const state = (key, more = "") => h("span", { class: "state " + more }, icon(key), t(key));
		const act = (key, onclick) => button("text", { onclick: () => onclick(pending) }, t(key));
		if (pending?.error) return [state("failed", "bad"), pending.error.trim() || t("tooLong"), act("retry", retry), act("edit", edit)];
		if (pending) return [state("sending")];
		const at = new Date(message.at_ms);
		const time = h("time", { datetime: at.toISOString(), title: exact.format(at) }, ago(at));
		return [time, ...(author === "user" ? [state("sent")] : author === "agent" ? thumbs(message) : [])];
	};

	const thumbs = ({ id, feedback }) => {
		const both = ["up", "down"].map((value) => {
			const onclick = () => {
				mark(value);
				send({ type: "feedback", message: id, value });
			};
			return button("thumb", { "aria-label": t(value), title: t(value), value, onclick }, icon(value));
		});
		const mark = (value) => both.forEach((thumb) => (thumb.ariaPressed = thumb.value === value));
		mark(feedback);
		return both;
	};

	const ago = (at) => {
		const seconds = (Date.now() - at) / 1000;
		const [size, unit] = seconds < 3600 ? [60, "minute"] : seconds < 86400 ? [3600, "hour"] : [86400, "day"];
		return seconds < 45 ? t("moment") : relative.format(-Math.round(seconds / size), unit);
	};

	return {
		remove,

		/** A final message; `announce` is told what others wrote. */
		show(message, announce) {
			const { id, seq, author } = message;
			const row = rowOf(id);
			const json = JSON.stringify(message);
			if (row.json === json) return;
			update(row, { json, message, seq, author, draft: false });
			if (announce && author !== "user") announce(`${by(row)}: ${row.body.textContent}`);
		},

		/** Something said here that the server has not confirmed. */
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
