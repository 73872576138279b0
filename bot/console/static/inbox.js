// The list of conversations: only the rows in sight are in the document, and nothing moves under the pointer or the focus.
import { get } from "./api.js";
import { button, h, icon, ticking } from "./dom.js";
import { belongs, happened, isMine, named, on, order, state } from "./state.js";
import { oneLine, visible } from "./text.js";
import { channel, deadlineWords, initials, now, PRIORITIES, span, stage, urgency } from "./words.js";

const FILTERS = [
	["mine", "Mine", "yours", "Nothing is yours right now. Look into Waiting, or enjoy the quiet."],
	["waiting", "Waiting", "waiting", "Nobody waits. New cases appear here by themselves."],
	["all", "All", "open", "No conversation is open."],
	["ended", "Ended", "ended", "No case has ended yet."],
];
const HEIGHT = 88; // of a row, as in console.css
const AHEAD = 6;
const QUIET_MS = 250;

let filter = "waiting";
let query = "";
let shown = []; // conversations, in order
let arrived = new Set(); // that are not shown yet
let active = "";
let following = ""; // where the list goes on
let isHeld = false; // the pointer or the focus is here
let round = 0;
let found = new Set(); // that the search gave
const nodes = new Map();

const tabs = new Map(FILTERS.map(([name, label]) => [name, h("button", { type: "button", class: "tab", "aria-pressed": "false", onclick: () => choose(name) }, label)]));
const search = h("input", { type: "search", "aria-label": "Search conversations", placeholder: "Search", maxLength: 200, autocomplete: "off" });
const count = h("span", {});
const fresh = button("fresh", "", () => release(true));
const space = h("div", { class: "space" });
const list = h("div", { class: "rows", role: "listbox", "aria-label": "Conversations", tabIndex: 0 }, space);
const empty = h("div", { class: "state", hidden: true });
export const inbox = h(
	"nav",
	{ class: "inbox", "aria-label": "Inbox" },
	h("div", { class: "tabs", role: "group", "aria-label": "Filter" }, ...tabs.values()),
	h("div", { class: "search" }, search),
	h("div", { class: "line" }, count, fresh),
	empty,
	list,
);

const choose = (name) => {
	filter = name;
	load();
};

// Reads everything again. What was there stays until the answer is.
export const load = async (isQuiet = false) => {
	const own = ++round;
	for (const [name, tab] of tabs) tab.setAttribute("aria-pressed", String(name === filter));
	if (!isQuiet) skeleton();
	try {
		const answer = await get("inbox", { filter, q: query });
		if (own !== round) return;
		keep(answer.rows);
		found = new Set(state.rows.keys());
		following = answer.more ? answer.next : "";
		if (isQuiet && isHeld && shown.length) for (const id of state.rows.keys()) note(id);
		else arrange();
	} catch (refusal) {
		if (own === round) failed(refusal);
	}
};

const keep = (rows) => {
	state.rows.clear();
	for (const row of rows) state.rows.set(row.conversation, row);
	if (state.open?.row) state.rows.set(state.open.id, state.rows.get(state.open.id) ?? state.open.row);
};

const more = async () => {
	const [own, before] = [round, following];
	following = "";
	const answer = await get("inbox", { filter, q: query, before }).catch(() => ({ rows: [], more: true, next: before }));
	if (own !== round) return;
	following = answer.more ? answer.next : "";
	const added = answer.rows.filter((row) => !state.rows.has(row.conversation));
	for (const row of added) state.rows.set(row.conversation, row);
	for (const row of added) found.add(row.conversation);
	shown.push(...added.map((row) => row.conversation));
	draw();
};

// Which conversations are here, in the right order.
const arrange = () => {
	const rows = [...state.rows.values()].filter((row) => belongs(row, filter) && (!query || found.has(row.conversation)));
	shown = rows.sort(order(filter)).map((row) => row.conversation);
	arrived = new Set();
	if (!shown.includes(active)) active = shown.includes(state.open?.id) ? state.open.id : (shown[0] ?? "");
	draw();
};
const note = (id) => {
	const row = state.rows.get(id);
	if (row && belongs(row, filter) && !shown.includes(id) && !query) arrived.add(id);
	else arrived.delete(id);
};

export const changed = (rows, gone) => {
	for (const row of rows) state.rows.set(row.conversation, row);
	for (const id of gone) state.rows.delete(id);
	if (!isHeld || !shown.length) return arrange();
	for (const row of rows) note(row.conversation);
	for (const id of gone) arrived.delete(id);
	draw();
};

const release = (isAsked) => {
	if (isHeld && !isAsked) return;
	arrange();
	if (isAsked) list.focus();
};

const draw = () => {
	const top = list.scrollTop;
	const first = Math.max(0, Math.floor(top / HEIGHT) - AHEAD);
	const last = Math.min(shown.length, Math.ceil((top + list.clientHeight) / HEIGHT) + AHEAD);
	const wanted = new Set(shown.slice(first, last));
	if (active) wanted.add(active);
	for (const [id, node] of nodes) if (!wanted.has(id) || !shown.includes(id)) drop(id, node);
	for (const id of wanted) place(id, shown.indexOf(id));
	space.style.height = `${shown.length * HEIGHT}px`;
	if (active && nodes.has(active)) list.setAttribute("aria-activedescendant", `row-${active}`);
	else list.removeAttribute("aria-activedescendant");
	const [, , words, nothing] = FILTERS.find(([name]) => name === filter);
	count.textContent = shown.length ? `${shown.length}${following ? "+" : ""} ${words}` : "";
	fresh.textContent = `${arrived.size} new`;
	fresh.hidden = !arrived.size;
	list.hidden = !shown.length;
	empty.hidden = Boolean(shown.length);
	if (!shown.length) empty.replaceChildren(h("p", {}, query ? `Nothing is found for “${oneLine(query, 60)}”.` : nothing));
	if (following && last > shown.length - 20) more();
};

const drop = (id, node) => {
	node.remove();
	nodes.delete(id);
};

const place = (id, at) => {
	if (at < 0) return;
	let node = nodes.get(id);
	if (!node) {
		node = h("div", { class: "row", role: "option", id: `row-${id}`, onclick: () => pick(id) });
		nodes.set(id, node);
		space.append(node);
	}
	const row = state.rows.get(id);
	if (node.row !== row) fill(node, row);
	node.style.transform = `translateY(${at * HEIGHT}px)`;
	node.setAttribute("aria-posinset", String(at + 1));
	node.setAttribute("aria-setsize", String(shown.length));
	node.setAttribute("aria-selected", String(id === state.open?.id));
	node.classList.toggle("active", id === active);
};

const fill = (node, row) => {
	node.row = row;
	node.classList.toggle("gone", !row || !belongs(row, filter));
	if (!row) return node.replaceChildren(h("p", { class: "text" }, "This conversation is gone."));
	const name = visible(named(row));
	const lookers = (row.lookers ?? []).filter((each) => each !== state.me.operator.name);
	node.replaceChildren(
		h("span", { class: `face ${row.channel}`, "aria-hidden": "true" }, initials(name)),
		h("p", { class: "top" }, h("strong", { title: name }, name), h("span", { class: "channel" }, channel(row.channel)), when(row)),
		h("p", { class: "text", title: oneLine(row.line, 500) }, said(row), oneLine(row.line) || "No text"),
		h("p", { class: "marks" }, priority(row), due(row), holder(row), row.is_blocked && h("span", { class: "mark late" }, "Blocked"), lookers.length > 0 && h("span", { class: "mark", title: `${lookers.join(", ")} is looking` }, `${oneLine(lookers[0], 16)}${lookers.length > 1 ? ` +${lookers.length - 1}` : ""} looks`)),
	);
};
const said = (row) => (row.line_author === "agent" ? "Assistant: " : row.line_author === "operator" && isMine(row) ? "You: " : "");
const when = (row) => ticking(() => (row.waiting_since_ms ? `waits ${span(now() - row.waiting_since_ms)}` : span(now() - row.at_ms)), { class: "when" });
const due = (row) => {
	if (!row.deadline) return null;
	const node = ticking(() => deadlineWords(row.deadline), { class: `mark due ${urgency(row.deadline)}` });
	const words = node.tick;
	node.tick = () => {
		node.className = `mark due ${urgency(row.deadline)}`;
		words();
	};
	return node;
};
const priority = (row) => PRIORITIES[row.priority] && h("span", { class: `mark priority p${row.priority}` }, PRIORITIES[row.priority]);
const holder = (row) => {
	if (isMine(row)) return h("span", { class: "mark mine" }, "You");
	if (row.operator) return h("span", { class: "mark", title: row.operator.name }, oneLine(row.operator.name, 24));
	return row.deadline ? null : h("span", { class: "mark" }, stage(row.stage));
};

const skeleton = () => {
	shown = [];
	for (const [id, node] of nodes) drop(id, node);
	list.hidden = true;
	empty.hidden = false;
	count.textContent = "";
	fresh.hidden = true;
	empty.replaceChildren(...Array.from({ length: 6 }, () => h("div", { class: "bones", "aria-hidden": "true" }, h("i"), h("i"))), h("p", { class: "hide", role: "status" }, "Loading"));
};

const failed = (refusal) => {
	if (shown.length) return;
	const what = refusal.status === 403 ? "You may not see conversations. An admin can change your role." : refusal.detail;
	empty.replaceChildren(h("p", { role: "alert" }, icon("warn"), what), button("", "Try again", () => load()));
};

const pick = (id) => {
	active = id;
	draw();
	happened("pick", id);
};
export const openActive = () => active && pick(active);

export const move = (step) => {
	if (!shown.length) return;
	const at = Math.min(shown.length - 1, Math.max(0, shown.indexOf(active) + step));
	active = shown[at];
	const top = at * HEIGHT;
	if (top < list.scrollTop) list.scrollTop = top;
	else if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
	draw();
};
export const mark = (id) => {
	active = id;
	draw();
};
export const focusList = () => (list.hidden ? search : list).focus({ preventScroll: true });
export const focusSearch = () => search.focus();

const hold = (is) => {
	isHeld = is || inbox.matches(":hover") || list.contains(document.activeElement);
	release(false);
};
inbox.addEventListener("pointerenter", () => (isHeld = true));
inbox.addEventListener("pointerleave", () => hold(false));
list.addEventListener("focus", () => (isHeld = true));
list.addEventListener("blur", () => hold(false));
list.addEventListener("scroll", () => draw(), { passive: true });
list.addEventListener("keydown", (event) => {
	const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -1e9, End: 1e9 }[event.key];
	if (!step) return;
	event.preventDefault();
	move(step);
});
new ResizeObserver(() => draw()).observe(list);
let typing;
search.addEventListener("input", () => {
	clearTimeout(typing);
	typing = setTimeout(() => {
		query = search.value.trim();
		load();
	}, QUIET_MS);
});
on("opened", () => draw());
