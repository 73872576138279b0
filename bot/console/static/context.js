// Beside the conversation: who this is, what is known, what is due.
import { cardNode } from "./cards.js";
import { button, h, icon, ticking } from "./dom.js";
import { memoryNodes } from "./memory.js";
import { happened, may, named, on, state } from "./state.js";
import { oneLine, visible } from "./text.js";
import { traceNode } from "./trace.js";
import { channel, deadlineWords, stage, time, urgency } from "./words.js";

const BRIEF = { reason: "Why", summary: "Summary", wants: "Wants", last: "Last words", tried: "Tried", promises: "Open", outcomes: "Turns" };
let trace = null; // of the turn one looks at

const page = h("div", { class: "page" });
export const context = h("aside", { class: "context", "aria-label": "About this conversation" }, h("header", {}, h("h2", {}, "About"), button("icon shut", "Close", () => happened("aside", false), icon("close"))), page);

const section = (title, ...content) => {
	const filled = content.flat().filter(Boolean);
	return filled.length ? h("section", {}, h("h3", {}, title), ...filled) : null;
};
const facts = (pairs) => {
	const known = pairs.filter(([, value]) => value);
	return known.length ? h("dl", {}, ...known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])) : null;
};

const words = (value) => {
	if (Array.isArray(value)) return value.length ? h("ul", {}, ...value.map((each) => h("li", {}, words(each)))) : null;
	if (value && typeof value === "object") return facts(Object.entries(value).map(([name, each]) => [visible(name), words(each)]));
	return value || value === 0 ? visible(value) : null;
};

const brief = (given) => (given && typeof given === "object" ? facts(Object.entries(BRIEF).map(([name, label]) => [label, words(given[name])])) : words(given));

const timer = (each) => {
	if (each.acted_ms) return h("li", { class: "past" }, `${deadlineWords({ ...each, is_missed: false }).split(/ in | overdue/)[0]}: acted `, time(each.acted_ms));
	return h("li", { class: urgency(each) }, ticking(() => deadlineWords(each)));
};

const past = (each) =>
	h("li", {}, h("strong", {}, oneLine(each.title, 120) || "Case"), h("p", { class: "about" }, [each.outcome && visible(each.outcome), each.feedback && `rated ${visible(each.feedback)}`].filter(Boolean).join(", "), " ", time(each.ended_ms || each.opened_ms)), each.summary && h("p", {}, visible(each.summary)));

export const showContext = () => {
	const { open } = state;
	context.hidden = !open?.row;
	if (!open?.row) return;
	const { row, context: known } = open;
	if (!known) return page.replaceChildren(h("div", { class: "bones" }, h("i"), h("i"), h("i")));
	const user = known.user ?? {};
	const cards = [...(known.consents ?? []), ...(known.queue ?? [])].filter((card) => card.is_open);
	const earlier = (known.cases ?? []).filter((each) => each.ended_ms && each.id !== row.case);
	const nodes = [
		section("To decide", ...cards.map(cardNode)),
		section(
			"Person",
			h("p", { class: "who" }, visible(user.name || named(row))),
			facts([
				["On", channel(user.channel || row.channel)],
				["Identity", visible(user.identity || row.user?.identity)],
				["Verified", user.verified === undefined ? "" : user.verified === true ? "yes" : user.verified ? visible(user.verified) : "no"],
				["Language", visible(user.language)],
				["Contact", words(user.contact)],
				["Since", user.since_ms ? time(user.since_ms) : ""],
				["State", user.is_blocked || row.is_blocked ? "blocked" : ""],
			]),
			may("export") && user.identity && h("p", {}, h("a", { href: `#/~user/${encodeURIComponent(user.identity)}` }, "Export or erase")),
		),
		section("Brief", brief(known.brief)),
		section("Case", facts([["Stage", stage(row.stage)], ["With", row.operator ? visible(row.operator.name) : ""], ["Team", visible(row.team)], ["Came by", visible(row.origin)], ["Reason", visible(row.reason)], ["Tags", (known.tags ?? row.tags ?? []).map((tag) => oneLine(tag, 60)).join(", ")], ["Watching", (known.watchers ?? []).map((each) => oneLine(each?.name ?? each, 60)).join(", ")]])),
		section("Timers", known.timers?.length > 0 && h("ul", { class: "timers" }, ...known.timers.map(timer))),
		section("Memory", memoryNodes(known.memory)),
		section("Past cases", earlier.length > 0 && h("ul", { class: "cases" }, ...earlier.map(past))),
		section("Trace of the turn", trace && traceNode(trace)),
	];
	page.replaceChildren(...nodes.filter(Boolean));
};

on("trace", (found) => {
	trace = found;
	showContext();
});
on("opened", () => {
	trace = null;
});
