// Actions that wait for somebody: to be agreed to, or to be looked into. Every argument stands there; all answers weigh the same.
import { ask } from "./dialogs.js";
import { button, h } from "./dom.js";
import { carryOut } from "./commands.js";
import { may, state } from "./state.js";
import { visible } from "./text.js";
import { clock, time } from "./words.js";

const CONSENT = [["approve", "Approve"], ["refuse", "Refuse"]];
const UNKNOWN = [["happened", "It happened"], ["did-not", "It did not"], ["mine", "I will handle it"]];
const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

const rows = (card) => {
	const people = (card.agreed ?? []).map((each) => each.by || each.kind).join(", ");
	const own = [["Action", card.action], ["Effect", card.effect], ["Amount", card.amount], ["Outcome", card.detail], ["Agreed so far", people], ["Decided by", card.decided_by], ["Why", card.why]];
	const given = [...Object.entries(card.arguments ?? {}), ...Object.entries(card.facts ?? {})];
	return [...own, ...given].filter(([, value]) => value !== null && value !== undefined && value !== "");
};

export const cardNode = (card) => {
	const isConsent = card.kind !== "unknown";
	const choices = isConsent ? CONSENT : UNKNOWN;
	const right = isConsent ? "decide_consent" : "decide_unknown";
	const title = isConsent ? "An action waits for agreement" : "Nobody knows whether this was carried out";
	const table = h("table", {}, h("tbody", {}, ...rows(card).map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, visible(name)), h("td", {}, visible(shown(value)))))));
	return h(
		"section",
		{ class: `card action ${isConsent ? "consent" : "unknown"}`, "aria-label": title },
		h("h3", {}, title),
		card.text && h("p", { class: "verbatim" }, visible(card.text)),
		table.rows.length > 0 && h("div", { class: "wide" }, table),
		card.is_open && card.expires_ms && h("p", { class: "about" }, "Until ", time(card.expires_ms, clock)),
		!card.is_open && h("p", { class: "about" }, `Decided: ${visible(card.state)}`),
		card.is_open && may(right) && h("div", { class: "choices row-of" }, ...choices.map(([name, label]) => button("", label, () => decided(card, name, label)))),
		card.is_open && !may(right) && h("p", { class: "about" }, isConsent ? "An approver decides this." : "Your role cannot decide this."),
	);
};

const decided = async (card, name, label) => {
	const { id } = state.open;
	const why = await ask({ title: `${label}?`, about: visible(card.text).slice(0, 600), label: "Why (may stay empty)", isOptional: true, submit: label });
	if (why !== null) await carryOut(id, `!${name} ${card.id} ${why}`.trim(), {});
};
