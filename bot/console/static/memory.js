// What is remembered of the person, beside the conversation; a wrong fact can be forgotten.
import { post } from "./api.js";
import { sure } from "./dialogs.js";
import { button, h, icon, tell } from "./dom.js";
import { happened, may, state } from "./state.js";
import { oneLine, visible } from "./text.js";
import { channel, clock, time } from "./words.js";

export const memoryNodes = (memory) => {
	if (!memory) return [];
	if (!memory.is_private) return [h("p", { class: "about" }, "Others read along here, so nothing that is remembered of one person is shown.")];
	const { facts, episodes, accounts } = memory;
	return [
		facts.length > 0 && h("ul", { class: "facts" }, ...facts.map(fact)),
		episodes.length > 0 && h("details", {}, h("summary", {}, `Earlier cases in words (${episodes.length})`), h("ul", { class: "cases" }, ...episodes.map(episode))),
		accounts.length > 1 && h("p", { class: "about" }, "Linked accounts: ", accounts.map((each) => `${channel(each.channel)}${each.is_here ? " (here)" : ""} ${oneLine(each.name, 40)}`.trim()).join(", ")),
	].filter(Boolean);
};

const fact = (each) =>
	h(
		"li",
		{},
		h("p", { class: "said" }, h("strong", {}, oneLine(each.about ? `${each.kind}, ${each.about}` : each.kind, 80)), " ", visible(each.value)),
		each.before.length > 0 && h("p", { class: "about past" }, "Before: ", each.before.map((old) => oneLine(old.value, 80)).join(", ")),
		h("p", { class: "about" }, source(each), `, ${each.confidence >= 0.8 ? "sure" : "less sure"} (${Math.round(each.confidence * 100)} %), until `, time(each.expires_ms, clock)),
		may("correct_memory") && button("quiet", `Forget: ${oneLine(each.value, 60)}`, () => forget(each), icon("close"), " Wrong: forget it"),
	);

// Leads to the message in which it was said.
const source = (each) =>
	h("a", { href: `#/${encodeURIComponent(each.conversation)}`, onclick: (event) => each.conversation === state.open?.id && goTo(event, each.message) }, "said ", time(each.since_ms));

const goTo = (event, message) => {
	event.preventDefault();
	happened("to-message", message);
};

const episode = (each) =>
	h("li", {}, h("p", {}, visible(each.text)), h("p", { class: "about" }, h("a", { href: `#/${encodeURIComponent(each.conversation)}` }, "case of ", time(each.ended_ms, clock))));

const forget = (each) => {
	const { id } = state.open;
	sure({
		title: "Forget this?",
		what: each.value,
		about: "It goes with what it had taken the place of, and is not taken from the same message again. Your name stands in the audit.",
		submit: "Forget it",
		kind: "main",
		act: () => post("facts/forget", { conversation: id, fact: each.id }),
		done: () => tell("It is forgotten."),
	});
};
