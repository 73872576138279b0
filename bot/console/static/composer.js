// Where an operator writes. Reply and note are two drafts, so that a note never becomes a reply by a wrong key.
import { upload } from "./api.js";
import { canned, carryOut, recipient } from "./commands.js";
import { button, h, icon, ticking, uuid } from "./dom.js";
import * as drafts from "./drafts.js";
import { showPassage } from "./entries.js";
import { openPalette } from "./palette.js";
import { HELD, isEnded, isMine, isWindowShut, may, on, state, windowEnd } from "./state.js";
import { oneLine, plain, visible } from "./text.js";
import { clock, now, size, span } from "./words.js";

const TYPING_MS = 3000;
const FILES_MOST = 10;

let draft = null; // of the open conversation
let mode = "note";
let isSending = false;
let typed_ms = 0;
let dropped = new Set(); // suggestions that were dropped here

const current = () => draft[mode];
const keep = () => state.open && drafts.write(state.open.id, { ...draft, mode });

const tab = (name, label, key, sign) =>
	h("button", { type: "button", class: `mode ${name}`, role: "tab", id: `mode-${name}`, "aria-controls": "writing", title: `${label} (${key})`, onclick: () => write(name) }, sign && icon(sign), label);
const tabs = { reply: tab("reply", "Reply", "r"), note: tab("note", "Private note", "n", "lock") };
const field = h("textarea", { id: "text", rows: 3, maxLength: 20_000, "aria-describedby": "goes" });
const problem = h("p", { class: "problem", role: "alert" });
const goes = h("p", { class: "goes", id: "goes" });
const send = h("button", { type: "button", class: "main send" }, "Send");
const offered = h("div", { class: "suggestion", hidden: true });
const popup = h("div", { class: "canned", role: "listbox", "aria-label": "Prepared replies", id: "canned", hidden: true });
const tray = h("div", { class: "tray" });
const picker = h("input", { type: "file", multiple: true, class: "hide", tabIndex: -1, "aria-hidden": "true" });
const attach = button("icon", "Add files", () => picker.click(), icon("clip"));
const more = button("icon", "Commands (/)", () => openPalette(), icon("more"));
export const composer = h(
	"section",
	{ class: "composer", "aria-label": "Write" },
	offered,
	problem,
	h("div", { class: "modes", role: "tablist", "aria-label": "What you write" }, tabs.reply, tabs.note),
	h("div", { class: "writing", id: "writing", role: "tabpanel" }, popup, field, tray, h("div", { class: "tools" }, attach, picker, more, goes, send)),
);

// Why there can be no reply now, or nothing.
const obstacle = () => {
	const { row } = state.open;
	if (!may("reply")) return "Your role writes no replies.";
	if (HELD.has(row.stage) && row.operator && !isMine(row)) return `${oneLine(row.operator.name, 60)} has this conversation: you can add notes.`;
	if (isEnded(row) || row.stage === "wrap-up") return "The case has ended: reopen it to reply.";
	if (row.is_blocked) return "This user is blocked: nothing is sent.";
	return "";
};

const destination = () => {
	if (mode === "note") return "Only operators read this.";
	const why = obstacle();
	if (why) return why;
	const { row } = state.open;
	if (isWindowShut(state.open)) return `${recipient(row)}: the window for free text is shut. Your reply waits until they write; a template, where one is set up, tells them.`;
	const end = windowEnd(state.open);
	const until = end === null ? "" : ` Free text until ${clock(end)}, ${span(end - now())} more.`;
	const taking = HELD.has(row.stage) && isMine(row) ? "" : " Your reply takes the conversation.";
	return `Goes to ${recipient(row)}.${taking}${until}`;
};
const goesText = ticking(() => (state.open?.row && draft ? destination() : ""));
goes.append(goesText);

// Shows what belongs to the open conversation; what is being written stays.
export const show = (isNew) => {
	const { open } = state;
	composer.hidden = !open?.row || !(may("reply") || may("note"));
	if (composer.hidden) return;
	if (isNew) {
		draft = drafts.read(open.id);
		mode = draft.mode || (isMine(open.row) && may("reply") ? "reply" : "note");
		problem.textContent = "";
		fill();
	}
	refresh();
	suggestion();
};

const fill = () => {
	field.value = current().text;
	grow();
	files();
	popup.hidden = true;
};

const refresh = () => {
	for (const [name, node] of Object.entries(tabs)) {
		node.setAttribute("aria-selected", String(name === mode));
		node.tabIndex = name === mode ? 0 : -1;
	}
	composer.classList.toggle("is-note", mode === "note");
	field.setAttribute("aria-label", mode === "note" ? "Private note" : "Reply");
	field.placeholder = mode === "note" ? "Write a note that only operators read" : "Write a reply. / for prepared replies";
	goesText.tick();
	send.textContent = isSending ? "Sending…" : mode === "note" ? "Add note" : "Send reply";
	const isEmpty = !current().text.trim() && !current().files.length;
	send.disabled = isSending || isEmpty || current().files.some((file) => !file.blob) || (mode === "reply" && Boolean(obstacle()));
	send.title = "Ctrl Enter";
};

export const write = (name) => {
	if (composer.hidden || !draft) return;
	mode = name;
	fill();
	refresh();
	keep();
	field.focus();
};

const grow = () => {
	field.style.height = "auto";
	field.style.height = `${Math.min(field.scrollHeight + 2, 220)}px`;
};

const put = (text, more = {}) => {
	Object.assign(current(), { text, key: uuid(), ...more });
	fill();
	refresh();
	keep();
	field.focus();
};

const submit = async () => {
	if (send.disabled) return;
	const { id } = state.open;
	const [own, sent, of] = [mode, current(), draft];
	isSending = true;
	problem.textContent = "";
	refresh();
	const attachments = sent.files.map((file) => file.blob);
	const text = sent.text.trim();
	const isDone = await carryOut(id, `!${own} ${text}`, { key: sent.key, ...(attachments.length && { attachments }), ...(sent.suggestion && { suggestion: sent.suggestion }) });
	isSending = false;
	if (isDone) {
		if (sent.suggestion) dropped.add(sent.suggestion);
		// What was typed while it was under way stays.
		of[own] = sent.text.trim() === text ? drafts.blank() : { ...sent, key: uuid(), suggestion: "", files: [] };
		drafts.write(id, of === draft ? { ...of, mode } : of);
	}
	if (state.open?.id !== id) return;
	if (isDone && mode === own) fill();
	refresh();
	suggestion();
};

// --- prepared replies ---------------------------------------------------------------------------------------------

let matches = [];
let at = 0;
const offerCanned = () => {
	const found = /^\/([a-z0-9._-]*)$/i.exec(field.value);
	matches = found && mode === "reply" ? canned(state.open.row).filter((each) => each.name.startsWith(found[1].toLowerCase())) : [];
	at = Math.min(at, Math.max(0, matches.length - 1));
	popup.hidden = !matches.length;
	popup.replaceChildren(...matches.map((each, place) => h("div", { role: "option", id: `canned-${place}`, class: "choice", "aria-selected": String(place === at), onclick: () => put(each.text) }, h("span", {}, `/${each.name}`), h("small", {}, visible(each.text)))));
	if (matches.length) field.setAttribute("aria-activedescendant", `canned-${at}`);
	else field.removeAttribute("aria-activedescendant");
	popup.children[at]?.scrollIntoView({ block: "nearest" });
};

// --- a suggested reply --------------------------------------------------------------------------------------------

const suggestion = () => {
	const given = state.open?.context?.suggestion;
	const isShown = given && may("reply") && !dropped.has(given.id) && draft.reply.suggestion !== given.id;
	offered.hidden = !isShown;
	if (!isShown || offered.given === given.id) return;
	offered.given = given.id;
	const sources = given.citations ?? [];
	offered.replaceChildren(
		h("h3", {}, "Suggested reply ", h("small", {}, "a draft: nothing is sent before you send it")),
		plain(given.text),
		sources.length ? h("p", { class: "sources" }, "From ", ...sources.flatMap((each, place) => [button("chip", `Source: ${oneLine(each.title, 120)}`, () => showPassage(each), String(each.number ?? place + 1)), " ", oneLine(each.title, 80), " "])) : h("p", { class: "about" }, "It names no source: check it."),
		h("div", { class: "row-of" }, button("", "Drop", () => drop(given)), button("main", "Use as draft", () => use(given))),
	);
};

const use = (given) => {
	mode = "reply";
	put(draft.reply.text.trim() ? `${draft.reply.text.trimEnd()}\n\n${given.text}` : given.text, { suggestion: given.id });
	suggestion();
};

const drop = async (given) => {
	dropped.add(given.id);
	suggestion();
	field.focus();
	if (!(await carryOut(state.open.id, "!suggest drop", { suggestion: given.id }))) dropped.delete(given.id);
	suggestion();
};

// --- files --------------------------------------------------------------------------------------------------------

const files = () => {
	const own = current();
	tray.replaceChildren(
		...own.files.map((file) =>
			h("span", { class: `file${file.error ? " failed" : ""}` }, icon(file.error ? "warn" : "file"), h("span", {}, oneLine(file.name, 60), h("small", {}, ` ${file.error || (file.blob ? size(file.size_bytes) : "uploading…")}`)), button("icon", `Remove ${oneLine(file.name, 60)}`, () => remove(own, file), icon("close"))),
		),
	);
};

const remove = (own, file) => {
	own.files = own.files.filter((each) => each !== file);
	own.key = uuid();
	files();
	refresh();
	keep();
	field.focus();
};

const add = async (chosen) => {
	const { id } = state.open;
	const [own, of] = [current(), draft];
	for (const blob of [...chosen].slice(0, Math.max(0, FILES_MOST - own.files.length))) {
		const file = { name: blob.name };
		own.files.push(file);
		own.key = uuid();
		files();
		refresh();
		try {
			Object.assign(file, await upload(blob));
		} catch (refusal) {
			file.error = refusal.detail ?? "not added";
		}
		drafts.write(id, withoutUnfinished(of));
		if (draft !== of) continue;
		files();
		refresh();
	}
};
const withoutUnfinished = (of) => ({ ...of, mode, reply: { ...of.reply, files: of.reply.files.filter((each) => each.blob) }, note: { ...of.note, files: of.note.files.filter((each) => each.blob) } });

// --- wiring -------------------------------------------------------------------------------------------------------

send.onclick = submit;
picker.onchange = () => {
	add(picker.files);
	picker.value = "";
};
field.oninput = () => {
	Object.assign(current(), { text: field.value, key: uuid() });
	if (!field.value) current().suggestion = "";
	at = 0;
	offerCanned();
	grow();
	refresh();
	keep();
	if (mode === "reply" && field.value && now() - typed_ms > TYPING_MS) {
		typed_ms = now();
		state.live?.send("typing", { conversation: state.open.id });
	}
};
field.onkeydown = (event) => {
	const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
	if (!popup.hidden && step) {
		event.preventDefault();
		at = (at + step + matches.length) % matches.length;
		offerCanned();
	} else if (!popup.hidden && (event.key === "Enter" || event.key === "Tab") && !event.shiftKey) {
		event.preventDefault();
		put(matches[at].text);
	} else if (!popup.hidden && event.key === "Escape") {
		event.stopPropagation();
		popup.hidden = true;
	} else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
		event.preventDefault();
		submit();
	}
};
const turn = ({ key }) => {
	if (!/^Arrow(Left|Right)$/.test(key)) return;
	write(mode === "note" ? "reply" : "note");
	tabs[mode].focus();
};
for (const node of Object.values(tabs)) node.addEventListener("keydown", turn);
field.onpaste = (event) => {
	if (!event.clipboardData.files.length) return;
	event.preventDefault();
	add(event.clipboardData.files);
};
composer.ondragover = (event) => event.preventDefault();
composer.ondrop = (event) => {
	event.preventDefault();
	if (event.dataTransfer.files.length) add(event.dataTransfer.files);
};
setInterval(() => !composer.hidden && draft && state.open?.row && refresh(), 5000); // the window may shut
on("refused", ({ conversation, detail }) => {
	if (state.open?.id !== conversation) return;
	problem.textContent = detail;
});
on("told", () => (problem.textContent = ""));
on("insert", (text) => {
	mode = "reply";
	put(text);
});
