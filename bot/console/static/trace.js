// What the agent did in a turn: what it called, what it found, what it cost.
import { get } from "./api.js";
import { h } from "./dom.js";
import { visible } from "./text.js";
import { span } from "./words.js";

const lasting = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : span(ms));
const shown = (value) => visible(typeof value === "string" ? value : JSON.stringify(value, null, 1));

export const cost = (found) => {
	const micros = (found.attempts ?? []).reduce((sum, each) => sum + (each.cost_micros ?? 0), 0);
	const tokens = (found.attempts ?? []).reduce((sum, each) => sum + (each.usage?.[0] ?? 0) + (each.usage?.[1] ?? 0), 0);
	return [found.model && visible(found.model), tokens && `${tokens.toLocaleString()} tokens`, micros && `cost ${(micros / 1_000_000).toFixed(4)}`, lasting(found.ended_ms - found.started_ms)].filter(Boolean).join(" · ");
};

const call = (each) =>
	h(
		"li",
		{},
		h("p", {}, h("code", {}, visible(each.name)), ` ${visible(each.state)}`, each.ended_ms ? ` in ${lasting(each.ended_ms - each.started_ms)}` : ""),
		h("pre", { "aria-label": "Arguments" }, shown(each.arguments)),
		each.result && h("pre", { "aria-label": "Result" }, shown(each.result).slice(0, 4000)),
	);

export const traceNode = (found) => {
	const calls = found.tool_calls ?? [];
	const passages = found.passages ?? [];
	const failed = (found.attempts ?? []).filter((each) => each.why);
	return h(
		"div",
		{ class: "trace" },
		h("p", { class: "about" }, cost(found)),
		found.stopped && h("p", { class: "problem" }, `Stopped: ${visible(found.stopped)}`),
		calls.length > 0 && [h("h4", {}, "Tools"), h("ol", {}, ...calls.map(call))],
		passages.length > 0 && [h("h4", {}, "Sources it read"), h("ol", {}, ...passages.map((each) => h("li", {}, visible(each.title), h("small", {}, ` ${Number(each.score ?? 0).toFixed(2)}`))))],
		failed.length > 0 && [h("h4", {}, "Models that failed"), h("ul", {}, ...failed.map((each) => h("li", {}, `${visible(each.model)}: ${visible(each.why)}`)))],
		!calls.length && !passages.length && h("p", { class: "about" }, "No tools, no sources."),
	);
};

// `onread` hears the trace once it is there.
export const unfolding = (turn, onread) => {
	const place = h("div", {});
	const node = h("details", { class: "turn" }, h("summary", {}, "How the assistant came to this"), place);
	let found;
	node.ontoggle = async () => {
		if (!node.open) return;
		if (found) return onread(found);
		place.replaceChildren(h("div", { class: "bones" }, h("i"), h("i")));
		try {
			found = await get(`turns/${encodeURIComponent(turn)}`);
			place.replaceChildren(traceNode(found));
			onread(found);
		} catch (refusal) {
			place.replaceChildren(h("p", { class: "problem", role: "alert" }, refusal.detail ?? "The trace cannot be read."));
		}
	};
	return node;
};
