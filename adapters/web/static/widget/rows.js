// The messages in the panel, by id and in the order of `seq`; what is not stored yet comes after them, drafts last.

import { button, h } from "./dom.js";
import { clean, render } from "./markdown.js";

const REVEAL_MS = 40;
const GROUP_MS = 300000;

export class Rows {
	#rows = new Map();
	#pressed = new Map();

	constructor(view) {
		this.view = view;
		const still = matchMedia("(prefers-reduced-motion: reduce)");
		this.still = () => still.matches;
		const locale = /^[a-z]{2}$/.test(view.language) ? view.language : "en";
		this.relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
		this.exact = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
	}

	/** A final message; `announce` is told its text. */
	show(message, announce) {
		const json = JSON.stringify(message);
		const row = this.#row(message.id);
		if (row.json === json) return;
		Object.assign(row, { json, message, seq: message.seq, author: message.author, draft: false, text: "" });
		this.#fill(row);
		if (announce && row.author !== "user") announce([this.#by(row), row.body.textContent].filter(Boolean).join(": "));
		this.#place(row);
	}

	/** Something said here that the server has not confirmed. */
	pending(message) {
		const row = this.#row(message.id);
		Object.assign(row, { message: { ...message, author: "user" }, author: "user", pending: message });
		this.#fill(row);
		this.#place(row);
	}

	acknowledge(id, message, seq) {
		const row = this.#rows.get(id);
		if (!row) return;
		if (this.#rows.has(message)) return this.remove(id);
		this.#rows.delete(id);
		this.#rows.set(message, row);
		row.el.dataset.id = message;
		Object.assign(row, { seq, pending: null });
		Object.assign(row.message, { id: message, seq });
		this.#fill(row);
		this.#place(row);
	}

	delta({ message: id, text }) {
		const row = this.#row(id);
		if (row.message) return; // the final text is here already
		if (!row.draft) {
			Object.assign(row, { draft: true, author: "agent", text: "", shown: 0 });
			this.#fill(row);
			this.#place(row);
		}
		row.text += text;
		row.timer ||= setTimeout(() => this.#reveal(row), this.still() ? 0 : REVEAL_MS);
	}

	withdraw(id) {
		const row = this.#rows.get(id);
		if (!row || row.message) return;
		const shown = row.shown > 0;
		this.remove(id);
		if (!shown) return;
		const quiet = this.#row(id);
		Object.assign(quiet, { author: "system" });
		this.#fill(quiet);
		quiet.body.textContent = this.view.t("withdrawn");
		this.#place(quiet);
	}

	dropDrafts() {
		for (const [id, row] of this.#rows) if (row.draft) this.remove(id);
	}

	remove(id) {
		const row = this.#rows.get(id);
		this.#rows.delete(id);
		clearTimeout(row?.timer);
		row?.el.remove();
		this.view.changed();
	}

	clear() {
		for (const id of [...this.#rows.keys()]) this.remove(id);
	}

	last() {
		return Math.max(0, ...this.#all().map((row) => row.seq || 0));
	}

	unread(read) {
		return this.#all().filter((row) => row.author !== "user" && row.seq > read).length;
	}

	transcript() {
		const said = this.#all().filter((row) => row.message && !row.el.hidden);
		return said.map((row) => `[${this.exact.format(row.message.at_ms)}] ${this.#by(row)}\n${row.message.text}\n`).join("\n");
	}

	/** Hides what belongs to an earlier conversation, joins neighbours by one author, and says whether there are any of both. */
	arrange(from) {
		const count = { hidden: false, shown: false };
		const all = this.#all();
		all.forEach((row, i) => {
			const before = all[i - 1];
			const next = all[i + 1];
			row.el.hidden = row.seq <= from;
			count[row.el.hidden ? "hidden" : "shown"] = true;
			const near = (a, b) => a?.author === b?.author && !a.el.hidden && (b.draft || b.message?.at_ms - a.message?.at_ms < GROUP_MS);
			row.el.classList.toggle("same", !!before && near(before, row) && before.message?.name === row.message?.name);
			row.meta.hidden = row.author === "user" && !row.pending && next?.author === "user" && !next.pending?.error;
		});
		return count;
	}

	age() {
		for (const row of this.#all()) for (const node of row.meta.querySelectorAll("time")) node.textContent = this.#ago(Date.parse(node.dateTime));
	}

	#all() {
		return [...this.view.list.children].map((el) => el.row);
	}

	#row(id) {
		let row = this.#rows.get(id);
		if (row) return row;
		row = { el: h("article", { "data-id": id }), body: h("div", { class: "body", dir: "auto" }), meta: h("div", { class: "meta" }) };
		row.el.row = row;
		this.#rows.set(id, row);
		return row;
	}

	#place(row) {
		const order = ({ seq, draft }) => seq ?? (draft ? 3e15 : 2e15);
		const { list } = this.view;
		let before = null;
		for (let el = list.lastElementChild; el && order(el.row) > order(row); el = el.previousElementSibling) before = el;
		if (row.el.parentNode !== list || row.el.nextElementSibling !== before) list.insertBefore(row.el, before);
		this.view.changed(row);
	}

	#reveal(row) {
		row.timer = 0;
		if (!row.draft) return;
		const rest = row.text.length - row.shown;
		const goal = row.shown + Math.ceil(rest / 8);
		const space = row.text.slice(goal).search(/\s/);
		const end = this.still() || (space < 0 && rest > 24) ? row.text.length : space < 0 ? row.shown : goal + space + 1;
		if (end === row.shown) return; // half a word: it waits for its end
		row.shown = end;
		render(row.body, row.text.slice(0, end), undefined, true);
		if (end < row.text.length) row.timer = setTimeout(() => this.#reveal(row), REVEAL_MS);
		this.view.changed(row);
	}

	#by(row) {
		const { t, name } = this.view;
		if (row.author === "system") return "";
		return row.author === "user" ? t("you") : clean(row.message?.name) || (row.author === "agent" ? name() : t("person"));
	}

	#fill(row) {
		const { el, body, meta, author, message } = row;
		el.className = "row " + author;
		el.ariaBusy = row.draft ? "true" : null;
		const by = author === "user" || author === "system" ? "" : h("div", { class: "by", dir: "auto" }, this.#by(row));
		const placed = new Set();
		if (message) {
			const chip = (n) => {
				const citation = message.citations?.find(({ number }) => number === n);
				if (citation) placed.add(n);
				return citation && this.#chip(citation);
			};
			body.replaceChildren();
			if (author === "user") body.append(clean(message.text));
			else render(body, message.text, chip);
		}
		meta.replaceChildren(...(message ? this.#meta(row) : []));
		el.replaceChildren(...[by, body, ...(message ? this.#extras(message, placed) : []), author !== "system" && meta].filter(Boolean));
	}

	#extras({ id, attachments, citations, buttons, consent }, placed) {
		const { t } = this.view;
		const left = (citations || []).filter(({ number }) => !placed.has(number));
		return [
			attachments?.length && h("div", { class: "files" }, ...attachments.map((file) => this.view.file(file))),
			consent && this.#consent(consent),
			left.length && h("div", { class: "meta" }, t("sources"), ...left.map((citation) => this.#chip(citation))),
			buttons?.length && h("div", { class: "choices" }, ...buttons.map((button) => this.#choice(id, button))),
		];
	}

	/** Every argument that will be used, with characters that cannot be seen made visible. */
	#consent({ title, arguments: values }) {
		const visible = (value) =>
			(typeof value === "string" ? value : JSON.stringify(value)).replace(/[\p{Cc}\p{Cf}]/gu, (c) => `⟨U+${c.codePointAt().toString(16).toUpperCase().padStart(4, "0")}⟩`);
		const pairs = Array.isArray(values) ? values.map(({ name, value }) => [name, value]) : Object.entries(values || {});
		const cells = pairs.map(([name, value]) => h("tr", {}, h("th", {}, visible(name)), h("td", {}, h("bdi", {}, visible(value)))));
		return h("div", { class: "consent" }, title && h("b", {}, visible(title)), h("table", {}, ...cells));
	}

	#chip(citation) {
		const { number } = citation;
		const label = this.view.t("source", { number, title: clean(citation.title) });
		return button("chip", { "aria-label": label, title: label, onclick: ({ target }) => this.view.cite(citation, target) }, `${number}`);
	}

	#choice(message, { id, label }) {
		const node = this.view.choice(clean(label), () => {
			this.#pressed.set(message, id);
			for (const other of node.parentNode.children) other.disabled = true;
			node.setAttribute("aria-pressed", "true");
			this.view.send({ type: "press", message, button: id });
		});
		node.disabled = this.#pressed.has(message);
		if (this.#pressed.get(message) === id) node.setAttribute("aria-pressed", "true");
		return node;
	}

	#meta({ author, message, pending }) {
		const { t, icon, retry, edit } = this.view;
		const at = new Date(message.at_ms);
		const state = (name, more = "") => h("span", { class: "state " + more }, icon(name), t(name));
		const act = (name, onclick) => button("text", { onclick }, t(name));
		if (pending?.error) {
			const why = h("span", {}, clean(pending.error).trim() || t("tooLong"));
			return [state("failed", "bad"), why, act("retry", () => retry(pending)), act("edit", () => edit(pending))];
		}
		if (pending) return [state("sending")];
		const time = h("time", { datetime: at.toISOString(), title: this.exact.format(at) }, this.#ago(at));
		if (author === "user") return [time, state("sent")];
		return author === "agent" ? [time, ...this.#thumbs(message)] : [time];
	}

	#thumbs({ id, feedback }) {
		const { t, icon, send } = this.view;
		const thumbs = ["up", "down"].map((value) => button("thumb", { "aria-label": t(value), title: t(value), value, onclick: () => {
			press(value);
			send({ type: "feedback", message: id, value });
		} }, icon(value)));
		const press = (chosen) => thumbs.forEach((thumb) => (thumb.ariaPressed = thumb.value === chosen));
		press(feedback);
		return thumbs;
	}

	#ago(at) {
		const seconds = (Date.now() - at) / 1000;
		if (seconds < 45) return this.view.t("moment");
		const [size, unit] = seconds < 3600 ? [60, "minute"] : seconds < 86400 ? [3600, "hour"] : [86400, "day"];
		return this.relative.format(-Math.round(seconds / size), unit);
	}
}
