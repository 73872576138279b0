// The conversation in the middle: one stream, and what can be done with it.
import { get } from "./api.js";
import { COMMANDS, perform, possible } from "./commands.js";
import { composer, show as showComposer } from "./composer.js";
import { showContext } from "./context.js";
import { announce, button, h, icon, tell, ticking } from "./dom.js";
import { entryNode, inOrder, keyOf } from "./entries.js";
import { openPalette } from "./palette.js";
import { happened, HELD, isMine, may, named, on, state } from "./state.js";
import { oneLine, visible } from "./text.js";
import { channel, deadlineWords, stage, urgency } from "./words.js";

const NEAR_PX = 80;
let isAtEnd = true; // what is new is in sight, and stays so until one scrolls up
let top_px = 0;
let nodes = new Map(); // key -> {node, entry}

const title = h("h1", { tabIndex: -1 });
const about = h("p", { class: "about" });
const actions = h("div", { class: "actions", role: "toolbar", "aria-label": "Commands" });
const people = h("p", { class: "people", "aria-live": "polite" });
const earlier = button("quiet", "Earlier messages", () => readEarlier());
const stream = h("div", { class: "stream", role: "log", "aria-live": "off", "aria-label": "Messages", tabIndex: 0 });
const banner = h("p", { class: "banner", hidden: true });
const nothing = h("div", { class: "state" }, h("p", {}, "Choose a conversation. Every key is listed under ?."));
const whole = h(
	"div",
	{ class: "whole", hidden: true },
	h("header", { class: "head" }, button("icon back", "Back to the inbox", () => happened("shut"), icon("back")), h("div", { class: "titles" }, title, about), button("icon aside", "About the user (i)", () => happened("aside"), icon("info"))),
	actions,
	banner,
	stream,
	people,
	composer,
);
export const conversation = h("main", { class: "conversation", "aria-label": "Conversation" }, nothing, whole);

// Opens `id`, or nothing for "". Shows what is known at once, then what the server says.
export const openConversation = async (id) => {
	if (state.open) state.live?.send("shut", { conversation: state.open.id });
	nodes = new Map();
	stream.replaceChildren();
	state.open = id ? { id, row: state.rows.get(id) ?? null, entries: new Map(), fresh: new Set(), more: false, context: null, lookers: [], isUserTyping: false, isNew: true } : null;
	happened("opened", id);
	draw();
	if (id) await read();
};

// Reads the open conversation again; what is written stays.
export const read = async () => {
	const { open } = state;
	if (!open) return;
	open.fresh = new Set();
	state.live?.send("open", { conversation: open.id });
	if (!nodes.size) stream.replaceChildren(...Array.from({ length: 4 }, () => h("div", { class: "bones", "aria-hidden": "true" }, h("i"), h("i"))), h("p", { class: "hide", role: "status" }, "Loading"));
	try {
		const answer = await get(`conversations/${encodeURIComponent(open.id)}`);
		if (state.open !== open) return;
		open.row = answer.row;
		open.context = answer.context;
		open.more = answer.more_before;
		keep(answer.entries);
		draw();
		if (open.isFocused && !whole.contains(document.activeElement)) title.focus({ preventScroll: true });
		open.isFocused = false;
	} catch (refusal) {
		if (state.open === open) failed(refusal);
	}
};

const failed = (refusal) => {
	if (refusal.status === 401) return happened("out");
	if (nodes.size) return;
	const sentence = refusal.status === 403 ? "You may not read this conversation. An admin can change your role." : refusal.detail;
	nothing.replaceChildren(h("p", { role: "alert" }, icon("warn"), sentence), button("", "Try again", () => read()));
	nothing.hidden = false;
	whole.hidden = true;
};

// What came by the socket while we read is newer than what we read.
const keep = (entries, isFresh = false) => {
	const { open } = state;
	for (const entry of entries) {
		const key = keyOf(entry);
		if (!isFresh && open.fresh.has(key)) continue;
		if (isFresh) open.fresh.add(key);
		open.entries.set(key, entry);
	}
};

const readEarlier = async () => {
	const { open } = state;
	const first = Math.min(...[...open.entries.values()].map((entry) => entry.seq));
	earlier.disabled = true;
	const answer = await get(`conversations/${encodeURIComponent(open.id)}/entries`, { before: String(first) }).catch(() => null);
	earlier.disabled = false;
	if (!answer || state.open !== open) return;
	open.more = answer.more_before ?? answer.more ?? false;
	keep(answer.entries);
	const below = stream.scrollHeight - stream.scrollTop;
	drawEntries();
	stream.scrollTop = stream.scrollHeight - below;
	(open.more ? earlier : stream).focus({ preventScroll: true });
};

// A frame about what is open.
export const received = (frame) => {
	const { open } = state;
	if (frame.conversation !== open?.id) return;
	const news = open.entries.size ? (frame.entries ?? []).filter((entry) => !open.entries.has(keyOf(entry))) : [];
	keep(frame.entries ?? [], true);
	open.lookers = (frame.lookers ?? open.lookers).filter((each) => each.id !== state.me.operator.id);
	open.isUserTyping = frame.is_user_typing ?? false;
	if (frame.context) open.context = frame.context;
	if (!open.row) return;
	draw();
	for (const entry of news) if (entry.author === "user") announce(`${oneLine(entry.name || "The user", 60)}: ${oneLine(entry.text, 400)}`);
};

export const rowChanged = () => {
	const row = state.rows.get(state.open?.id);
	if (!row || row === state.open.row) return;
	state.open.row = row;
	draw();
};

const draw = () => {
	const { open } = state;
	whole.hidden = !open?.row;
	nothing.hidden = Boolean(open?.row);
	if (!open?.row) {
		nothing.replaceChildren(open ? h("p", { role: "status" }, "Loading the conversation…") : h("p", {}, "Choose a conversation. Every key is listed under ?."));
		showComposer(false);
		return showContext();
	}
	drawHead(open);
	drawEntries();
	drawPeople(open);
	showComposer(open.isNew);
	open.isNew = false;
	showContext();
};

const drawHead = ({ row }) => {
	title.textContent = visible(named(row));
	const holder = isMine(row) ? "yours" : row.operator ? `${oneLine(row.operator.name, 60)} has it` : "";
	const parts = [channel(row.channel), stage(row.stage), holder, ...(row.tags ?? []).map((tag) => `#${oneLine(tag, 40)}`)].filter(Boolean);
	about.replaceChildren(parts.join(" · "), row.deadline ? " · " : "", row.deadline ? ticking(() => deadlineWords(row.deadline), { class: urgency(row.deadline) }) : "");
	const offered = possible(row).filter((command) => command.isShown);
	const toDecide = [...(state.open.context?.consents ?? []), ...(state.open.context?.queue ?? [])].filter((card) => card.is_open).length;
	const names = [...offered.map((command) => command.name), toDecide].join();
	if (actions.names !== names) {
		const focused = actions.contains(document.activeElement) && document.activeElement.dataset.name;
		actions.names = names;
		actions.replaceChildren(toDecide ? button("decide", `Decide ${toDecide}`, () => happened("decide")) : "", ...offered.map((command) => labelled(command)), may("take") ? button("", "More", () => openPalette()) : "");
		if (focused) (actions.querySelector(`[data-name="${focused}"]`) ?? title).focus({ preventScroll: true });
	}
	actions.hidden = !actions.children.length;
	drawBanner(row);
};
const labelled = (command) => {
	const node = h("button", { type: "button", "data-name": command.name, title: command.key ? `${command.label} (${command.key})` : command.label, class: command.name === "take" ? "main" : null, onclick: () => perform(command) }, command.label);
	if (command.key) node.setAttribute("aria-keyshortcuts", command.key);
	return node;
};

const drawBanner = (row) => {
	const words = !may("reply") && !may("note") ? "You can read here. Writing needs another role: an admin can change yours." : row.is_blocked ? "This user is blocked: nothing of theirs is read or answered." : HELD.has(row.stage) && row.operator && !isMine(row) ? `${oneLine(row.operator.name, 60)} has taken this conversation.` : "";
	banner.hidden = !words;
	banner.textContent = words;
};

const drawPeople = (open) => {
	const typing = open.lookers.filter((each) => each.is_typing).map((each) => oneLine(each.name, 40));
	const looking = open.lookers.filter((each) => !each.is_typing).map((each) => oneLine(each.name, 40));
	const words = [open.isUserTyping && `${oneLine(named(open.row), 40)} is typing…`, typing.length && `${typing.join(", ")} ${typing.length > 1 ? "are" : "is"} writing`, looking.length && `${looking.join(", ")} ${looking.length > 1 ? "look" : "looks"} at this too`].filter(Boolean).join(" · ");
	if (people.textContent !== words) people.textContent = words;
};

// Only what is new or different is made anew, so that what one reads, selects or unfolds stays.
const drawEntries = () => {
	const { open } = state;
	if (!nodes.size) isAtEnd = true;
	const next = new Map();
	let last = null;
	for (const node of stream.querySelectorAll(":scope > .bones, :scope > .hide, :scope > .state")) node.remove();
	if (open.more && earlier.parentNode !== stream) stream.prepend(earlier);
	if (!open.more) earlier.remove();
	else last = earlier;
	for (const entry of [...open.entries.values()].sort(inOrder)) {
		const key = keyOf(entry);
		const text = JSON.stringify(entry);
		const old = nodes.get(key);
		const node = old?.text === text ? old.node : entryNode(entry);
		if (old && old.node !== node) old.node.replaceWith(node);
		const place = last ? last.nextSibling : stream.firstChild;
		if (place !== node) stream.insertBefore(node, place);
		next.set(key, { node, text });
		last = node;
	}
	for (const [key, { node }] of nodes) if (!next.has(key)) node.remove();
	nodes = next;
	if (!next.size && open.context) stream.append(h("div", { class: "state" }, h("p", {}, "Nothing has been said here yet.")));
	toEnd();
};

const toEnd = () => {
	if (isAtEnd) stream.scrollTop = stream.scrollHeight;
};
const scrolled = () => {
	if (stream.scrollHeight - stream.scrollTop - stream.clientHeight < NEAR_PX) isAtEnd = true;
	else if (stream.scrollTop < top_px) isAtEnd = false;
	top_px = stream.scrollTop;
};
stream.addEventListener("scroll", scrolled, { passive: true });
new ResizeObserver(toEnd).observe(stream);

export const focusTitle = () => title.focus({ preventScroll: true });
export const byKey = (key) => {
	const command = state.open?.row && possible(state.open.row).find((each) => each.key === key);
	if (command) perform(command);
	return COMMANDS.some((each) => each.key === key);
};
on("told", async ({ conversation, told }) => {
	if (told.suggestion && state.open?.id === conversation && state.open.context?.suggestion?.id !== told.suggestion) await read();
});

// A message that something else on the page leads to.
on("to-message", (id) => {
	const node = nodes.get(`message:${id}`)?.node;
	if (!node) return tell("That message stands further up: show earlier messages.");
	isAtEnd = false;
	node.tabIndex = -1;
	node.scrollIntoView({ block: "center" });
	node.focus();
});
