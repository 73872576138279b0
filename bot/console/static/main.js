// Begins, and joins the parts: who one is, what has changed, what a key does.
import { post, use } from "./api.js";
import { bell, learn, noticed, rang } from "./alerts.js";
import { context } from "./context.js";
import { byKey, conversation, focusTitle, openConversation, read, received, rowChanged } from "./conversation.js";
import { write } from "./composer.js";
import { isBusy } from "./dialogs.js";
import { button, h, tell, tick } from "./dom.js";
import * as drafts from "./drafts.js";
import { changed, focusList, focusSearch, inbox, load, mark, move, openActive } from "./inbox.js";
import { connect } from "./live.js";
import "./gaps.js";
import "./knowledge.js";
import { openPalette, showKeys } from "./palette.js";
import { pageLinks, pageOf, pages, showPage } from "./pages.js";
import "./person.js";
import { invitation, signIn, trouble, whoAmI } from "./signin.js";
import { on, state } from "./state.js";
import { oneLine } from "./text.js";
import { clock, setClock } from "./words.js";

const PRESENCES = [["online", "Online"], ["away", "Away"], ["offline", "Offline"]];
const NOTICE = "frontdesk:notice";

const offline = h("p", { class: "offline", role: "status", hidden: true }, "No connection. What you see may be old; drafts are kept. Trying again… ", button("quiet", "Now", () => state.live?.again()));
const hours = h("p", { class: "hours" });
const consents = h("p", { class: "waiting-consents", role: "status", hidden: true });
const presence = h("select", { "aria-label": "Your presence" }, ...PRESENCES.map(([value, label]) => h("option", { value }, label)));
const who = h("span", { class: "me" });
const links = h("nav", { class: "places", "aria-label": "Pages" });
const panes = h("div", { class: "panes" }, inbox, conversation, context);
const top = h(
	"header",
	{ class: "bar" },
	h("span", { class: "brand" }, "Frontdesk"),
	links,
	hours,
	consents,
	h("span", { class: "push" }),
	bell,
	button("icon", "Keys (?)", () => showKeys(), "?"),
	presence,
	who,
	button("quiet", "Sign out", () => signOut()),
);

const begin = async () => {
	const invite = /^#\/invite\/([^/]+)$/.exec(location.hash);
	if (invite) return invitation(decoded(invite[1]), begin);
	try {
		use("");
		await learnMe();
	} catch (refusal) {
		if (refusal.status !== 401) return trouble(refusal, begin);
		return signIn(taken(), begin);
	}
	document.getElementById("app").replaceChildren(offline, top, panes, pages);
	state.live ??= connect(hear);
	await follow();
};

const learnMe = async () => {
	state.me = await whoAmI();
	use(state.me.csrf);
	setClock(state.me.now_ms);
	presence.value = state.me.operator.presence;
	presence.disabled = !state.me.operator.rights.includes("take");
	who.textContent = oneLine(state.me.operator.name, 40);
	who.title = `${state.me.operator.name}, ${state.me.operator.role}`;
	const { is_open: isOpen, next_opening_ms: next } = state.me.hours ?? {};
	hours.textContent = isOpen === false ? `Closed${next ? `, opens ${clock(next)}` : ""}` : "";
};

const decoded = (text) => {
	try {
		return decodeURIComponent(text);
	} catch {
		return "";
	}
};

// A sentence for the sign-in page of the next load.
const taken = () => {
	const notice = sessionStorage.getItem(NOTICE) ?? "";
	sessionStorage.removeItem(NOTICE);
	return notice;
};

// Everything one operator has seen leaves the page with them.
const leave = (notice) => {
	state.live?.end();
	if (notice) sessionStorage.setItem(NOTICE, notice);
	location.reload();
};
const signOut = async () => {
	await post("sign-out", {}).catch(() => null);
	drafts.forget();
	leave("");
};

// --- what the server tells ----------------------------------------------------------------------------------------

const again = async () => {
	await learnMe().catch((refusal) => refusal.status === 401 && leave("You have been signed out. Your drafts are kept in this tab."));
	await Promise.all([load(state.rows.size > 0), read()]);
	learn(state.rows.values());
};

const hear = (type, frame) => {
	if (type === "+online") {
		state.isOnline = true;
		offline.hidden = true;
		again();
	} else if (type === "+offline") {
		state.isOnline = false;
		offline.hidden = false;
		isOut();
	} else if (type === "+out") leave("You have been signed out, or your role has changed. Your drafts are kept in this tab.");
	else if (type === "rows") {
		noticed(frame.rows ?? []);
		changed(frame.rows ?? [], frame.gone ?? []);
		rowChanged();
	} else if (type === "entries") received(frame);
	else if (type === "gone") goneFrom(frame.conversation);
	else if (type === "overflow") again();
	else if (type === "notice") rang(frame);
	else if (type === "consents") {
		consents.hidden = !frame.count;
		consents.textContent = frame.count ? `${frame.count} to decide` : "";
	}
};

const goneFrom = (id) => {
	if (state.open?.id !== id) return;
	tell("This conversation is not there any more.", "bad");
	location.hash = "#/";
};

// A refused socket has no reason a page may read: ask by the other way whether we are still signed in.
const isOut = () => whoAmI().catch((refusal) => refusal.status === 401 && leave("You have been signed out. Your drafts are kept in this tab."));

// --- where one is -------------------------------------------------------------------------------------------------

const wanted = () => decoded(/^#\/([^/]+)$/.exec(location.hash)?.[1] ?? "");
const show = (pane) => (document.body.dataset.pane = pane);

const follow = async () => {
	if (!state.me) return;
	const page = pageOf(location.hash);
	showPage(page);
	links.replaceChildren(...pageLinks());
	panes.hidden = Boolean(page);
	const id = page ? "" : wanted();
	if ((state.open?.id ?? "") === id) return show(id ? "conversation" : "inbox");
	show(id ? "conversation" : "inbox");
	document.body.classList.remove("with-aside");
	const opening = openConversation(id);
	if (state.open) state.open.isFocused = true;
	if (id) mark(id);
	await opening;
};
addEventListener("hashchange", () => (location.hash.startsWith("#/invite/") ? location.reload() : follow()));

on("pick", (id) => {
	if (wanted() === id) {
		show("conversation");
		focusTitle();
	} else location.hash = `#/${encodeURIComponent(id)}`;
});
on("shut", () => {
	location.hash = "#/";
	focusList();
});
on("aside", (is = !document.body.classList.contains("with-aside")) => {
	document.body.classList.toggle("with-aside", is);
	if (is) context.querySelector("button").focus();
	else focusTitle();
});
on("decide", () => {
	document.body.classList.add("with-aside");
	context.querySelector(".action button")?.focus();
});
on("out", () => leave("You have been signed out. Your drafts are kept in this tab."));
on("refused", ({ detail }) => tell(detail, "bad"));

presence.onchange = async () => {
	const was = state.me.operator.presence;
	try {
		await post("presence", { presence: presence.value });
		state.me.operator.presence = presence.value;
	} catch (refusal) {
		presence.value = was;
		tell(refusal.detail ?? "That did not work. Try again.", "bad");
	}
};

// --- keys ---------------------------------------------------------------------------------------------------------

const isTyping = (node) => node.matches?.("input, textarea, select, [contenteditable]");

const KEYS = {
	j: () => move(1),
	k: () => move(-1),
	r: () => write("reply"),
	n: () => write("note"),
	"/": openPalette,
	"?": showKeys,
	f: focusSearch,
	i: () => state.open?.row && document.querySelector(".icon.aside").click(),
	Escape: () => escape(),
};

const escape = () => {
	if (document.body.classList.contains("with-aside")) document.querySelector(".context .shut").click();
	else if (document.body.dataset.pane === "conversation" && matchMedia("(max-width: 700px)").matches) location.hash = "#/";
	else focusList();
};

addEventListener("keydown", (event) => {
	if (!state.me || isBusy() || event.isComposing || panes.hidden) return;
	if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
		event.preventDefault();
		return openPalette();
	}
	if (event.ctrlKey || event.metaKey || event.altKey) return;
	if (isTyping(event.target)) {
		if (event.key === "Escape") focusTitle();
		return;
	}
	if (event.key === "Enter" && !event.target.closest("button, a, summary, [role=tab]")) return openActive();
	const act = KEYS[event.key];
	if (act) {
		event.preventDefault();
		act();
	} else if (state.open?.row && byKey(event.key)) event.preventDefault();
});

setInterval(tick, 1000);
begin();
