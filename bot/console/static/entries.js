// The lines of a conversation: what was said, what was noted, what happened.
import { get } from "./api.js";
import { cardNode } from "./cards.js";
import { sheet } from "./dialogs.js";
import { button, h, icon } from "./dom.js";
import { happened } from "./state.js";
import { link, oneLine, plain, rich, safeUrl, visible } from "./text.js";
import { unfolding } from "./trace.js";
import { clock, DELIVERY, happenedWords, size, time } from "./words.js";

const AUTHORS = { user: "User", agent: "Assistant", operator: "Operator", system: "Frontdesk" };
const IMAGES = /^image\/(png|jpeg|gif|webp)$/;

export const keyOf = (entry) => (entry.log ? `log:${entry.log}` : `message:${entry.id}`);
export const inOrder = (a, b) => a.seq - b.seq || Number(Boolean(a.log)) - Number(Boolean(b.log)) || a.at_ms - b.at_ms;

export const entryNode = (entry) => (entry.log ? logNode(entry) : messageNode(entry));

const logNode = (entry) =>
	h("div", { class: "log" }, h("span", {}, oneLine(happenedWords(entry, entry.actor_name || entry.actor || "Frontdesk"), 500)), time(entry.at_ms, clock));

const messageNode = (entry) => {
	const isNote = entry.visibility === "note";
	const name = oneLine(entry.name || AUTHORS[entry.author] || entry.author, 80);
	const chip = (number) => {
		const citation = entry.citations?.find((each) => each.number === number);
		return citation && button("chip", `Source ${number}: ${oneLine(citation.title, 120)}`, () => showPassage(citation), String(number));
	};
	const node = h(
		"article",
		{ class: `entry ${entry.author}${isNote ? " note" : ""}`, "aria-label": `${isNote ? "Private note by " : ""}${name}` },
		h("header", {}, isNote && icon("lock"), h("strong", {}, name), h("span", { class: "role" }, isNote ? "private note" : (AUTHORS[entry.author] ?? "")), time(entry.at_ms, clock)),
	);
	if (entry.is_deleted) node.append(h("p", { class: "about" }, "Deleted by its author."));
	else if (entry.text) node.append(entry.author === "agent" ? rich(entry.text, chip) : plain(entry.text));
	if (entry.attachments?.length) node.append(h("div", { class: "files" }, ...entry.attachments.map((file) => fileNode(entry, file))));
	if (entry.buttons?.length) node.append(h("p", { class: "offered" }, ...entry.buttons.map((label) => h("span", { class: "mark" }, oneLine(label, 60)))));
	if (entry.card) node.append(cardNode(entry.card));
	node.append(...[sources(entry, chip), foot(entry)].filter(Boolean));
	if (entry.turn && entry.author === "agent") node.append(unfolding(entry.turn, (found) => happened("trace", found)));
	return node;
};

const sources = (entry, chip) =>
	entry.citations?.length > 0 && entry.author === "agent" && h("p", { class: "sources" }, "Sources ", ...entry.citations.flatMap((each) => [chip(each.number), " ", oneLine(each.title, 80), " "]));

export const showPassage = async (citation) => {
	const href = safeUrl(citation.url);
	const place = h("div", {}, h("div", { class: "bones" }, h("i"), h("i")));
	sheet(oneLine(citation.title, 200) || "Source", place, href && h("p", { class: "foot" }, link(href, oneLine(href, 200))));
	try {
		const found = await get(`passages/${citation.passage.split("/").map(encodeURIComponent).join("/")}`);
		place.replaceChildren(rich(found.text));
	} catch (refusal) {
		place.replaceChildren(h("p", { class: "about" }, refusal.detail ?? "The passage cannot be read."));
	}
};

const foot = (entry) => {
	const [name, words] = DELIVERY[entry.delivery] ?? [];
	const parts = [
		words && h("span", { class: `delivery ${entry.delivery}` }, icon(name), words),
		entry.is_edited && !entry.is_deleted && h("span", {}, "edited"),
		entry.feedback && h("span", {}, entry.feedback === "up" ? "rated helpful" : entry.feedback === "down" ? "rated not helpful" : visible(entry.feedback)),
	].filter(Boolean);
	return parts.length ? h("p", { class: "state-of" }, ...parts) : null;
};

const fileNode = (entry, file) => {
	const href = `/console/api/files/${encodeURIComponent(entry.id)}/${encodeURIComponent(file.blob)}`;
	const name = oneLine(file.name, 120) || "File";
	const anchor = h("a", { class: "file", href, target: "_blank", rel: "noopener noreferrer" });
	if (IMAGES.test(file.media_type)) anchor.append(h("img", { src: href, alt: name, loading: "lazy" }));
	else {
		anchor.setAttribute("download", name);
		anchor.append(icon("file"));
	}
	anchor.append(h("span", {}, name, h("small", {}, ` ${size(file.size_bytes ?? 0)}`)));
	return h("div", {}, anchor, file.transcript && h("p", { class: "transcript" }, h("b", {}, "Written out: "), visible(file.transcript)));
};
