// What people ask and the documents do not answer; from there to a document. And who was told what stands no longer.
import { get, post } from "./api.js";
import { ask } from "./dialogs.js";
import { announce, button, h, tell } from "./dom.js";
import { addPage } from "./pages.js";
import { happened, may } from "./state.js";
import { oneLine, visible } from "./text.js";
import { time } from "./words.js";

const DRAFT_MS = 40_000; // a model may write it
const KINDS = { unanswered: "no answer found", disliked: "thumbs down", corrected: "corrected by a colleague", "handed over": "handed over" };

const edits = new Map(); // of drafts that are not added yet: what was typed stays while this tab is open
let shown = "";

const title = h("h1", { tabIndex: -1 }, "Gaps");
const place = h("div", { class: "sheet-like" });
const node = h("main", { class: "place gaps", "aria-label": "Gaps" }, h("header", { class: "place-head" }, title), place);

const open = async (what) => {
	shown = what;
	if (!place.children.length) place.replaceChildren(h("div", { class: "bones" }, h("i"), h("i"), h("i")));
	try {
		const found = await get(what ? `gaps/${encodeURIComponent(what)}` : "gaps");
		if (shown !== what) return;
		if (what && found.draft) drawDraft(found);
		else if (what) location.hash = "#/~gaps";
		else drawList(found);
	} catch (refusal) {
		if (refusal.status === 401) return happened("out");
		place.replaceChildren(h("p", { class: "problem", role: "alert" }, refusal.detail), button("", "Try again", () => open(what)));
	}
	title.focus();
};

// Says what happened, and gives null where it did not work. The button waits for it.
const doing = async (pressed, work) => {
	pressed.disabled = true;
	try {
		return await work();
	} catch (refusal) {
		if (refusal.status === 401) happened("out");
		else tell(refusal.detail ?? "That did not work. Try again.", "bad");
		return null;
	} finally {
		pressed.disabled = false;
	}
};

// --- the list -----------------------------------------------------------------------------------------------------

const drawList = ({ gaps, recalls }) => {
	place.replaceChildren(
		h(
			"section",
			{},
			h("p", { class: "about" }, "Questions that the documents did not answer, or not well. Those asked most come first."),
			gaps.length ? h("ol", { class: "gap-list" }, ...gaps.map(row)) : h("p", { class: "empty" }, "No gaps: what was asked was answered. New ones appear here by themselves."),
		),
		recalls.length ? h("section", { "aria-labelledby": "recalls" }, h("h2", { id: "recalls" }, "Told from documents that have changed"), h("p", { class: "about" }, "Open the conversation and write to the person if it matters to them. Nothing is sent by itself."), h("ul", { class: "gap-list" }, ...recalls.map(recall))) : "",
	);
};

const row = (gap) => {
	const why = Object.entries(gap.kinds).map(([kind, count]) => `${count} ${KINDS[kind] ?? kind}`);
	return h(
		"li",
		{ class: "gap" },
		h("p", { class: "gap-question" }, h("strong", {}, oneLine(gap.question, 300))),
		h("p", { class: "about" }, `Asked ${gap.count === 1 ? "once" : `${gap.count} times`}, last `, time(gap.last_ms), why.length ? ` · ${why.join(", ")}` : ""),
		gap.others.length > 0 && h("details", {}, h("summary", {}, "Asked also as"), h("ul", {}, ...gap.others.map((each) => h("li", {}, oneLine(each, 300))))),
		h("p", { class: "gap-acts" }, ...acts(gap), ...gap.conversations.map((id, number) => h("a", { href: `#/${encodeURIComponent(id)}` }, `Conversation ${number + 1}`))),
	);
};

const acts = (gap) => {
	if (!may("manage_knowledge")) return [h("span", { class: "mark" }, gap.state === "drafted" ? "a draft waits" : gap.state)];
	if (gap.state === "drafted") return [button("main", "Open the draft", () => goTo(gap.id)), closing(gap)];
	const begin = button("main", "Draft a document", () => draft(gap, begin));
	return [begin, closing(gap)];
};

const draft = async (gap, pressed) => {
	announce("A draft is being written.");
	pressed.textContent = "Writing…";
	const found = await doing(pressed, () => post("gaps/draft", { id: gap.id }, DRAFT_MS));
	pressed.textContent = "Draft a document";
	if (!found) return;
	edits.delete(gap.id);
	if (shown === gap.id) drawDraft(found);
	else goTo(gap.id);
};

const closing = (gap) => {
	const act = button("quiet", "Nothing to write", async () => {
		if ((await doing(act, () => post("gaps/close", { id: gap.id }))) && open("")) tell("Closed. It is open again when somebody asks it again.");
	});
	return act;
};

const goTo = (id) => (location.hash = `#/~gaps/${encodeURIComponent(id)}`);

const recall = (each) => {
	const act = button("", "Looked after", async () => {
		if ((await doing(act, () => post("gaps/recalled", { entry: each.entry }))) && open("")) tell("Noted: it is looked after.");
	});
	return h(
		"li",
		{ class: "gap" },
		h("p", { class: "verbatim" }, visible(each.detail)),
		h("p", { class: "gap-acts" }, h("a", { class: "as-button", href: `#/${encodeURIComponent(each.conversation)}` }, "Open the conversation"), may("decide_unknown") && act, h("span", { class: "about" }, time(each.created_ms), each.taken_by ? ` · ${oneLine(each.taken_by, 40)} looks after it` : "")),
	);
};

// --- a draft ------------------------------------------------------------------------------------------------------

const drawDraft = (gap) => {
	const kept = edits.get(gap.id) ?? gap.draft;
	const canEdit = may("manage_knowledge");
	const name = h("input", { id: "gap-title", value: kept.title, maxLength: 120, required: true, readOnly: !canEdit });
	const text = h("textarea", { id: "gap-text", rows: 18, maxLength: 20_000, required: true, readOnly: !canEdit }, kept.text);
	const keep = () => edits.set(gap.id, { title: name.value, text: text.value });
	name.oninput = text.oninput = keep;
	const add = h("button", { class: "main" }, "Add to knowledge");
	const again = button("", "Write it anew", async () => {
		const sure = edits.has(gap.id) ? await ask({ title: "Write it anew?", about: "What you have changed here is lost.", options: [{ value: "yes", label: "Write it anew" }] }) : "yes";
		if (sure) draft(gap, again);
	});
	const form = h(
		"form",
		{ class: "gap-draft" },
		h("label", { for: "gap-title" }, "Title"),
		name,
		h("label", { for: "gap-text" }, "Text (Markdown)"),
		text,
		canEdit && h("div", { class: "foot" }, again, add),
	);
	form.onsubmit = async (event) => {
		event.preventDefault();
		const done = await doing(add, () => post("gaps/accept", { id: gap.id, title: name.value, text: text.value }));
		if (!done) return;
		edits.delete(gap.id);
		tell(`Added as ${oneLine(done.document, 80)}. Agents find it within seconds.`);
		location.hash = "#/~gaps";
	};
	const by = gap.draft.model ? `Written by the model ${oneLine(gap.draft.model, 40)} from what colleagues answered.` : "Put together from what was asked and what colleagues answered.";
	place.replaceChildren(
		h("p", {}, h("a", { href: "#/~gaps" }, "All gaps")),
		h("section", {}, h("h2", {}, oneLine(gap.question, 300)), h("p", { class: "warned-box" }, `${by} No agent reads it until you add it. Check every sentence: what you add is quoted to everyone.`), form),
	);
};

addPage("gaps", { label: "Gaps", right: "see", node, open });
