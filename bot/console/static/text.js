// What others wrote, as nodes: text only becomes text nodes, nothing is fetched, and time is linear.
import { h } from "./dom.js";

const LONG = 3000;
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;
// Emoji and many scripts need joiners; between Latin letters they only hide something.
const JOINERS = "\u200c\u200d";
const INLINE =
	/`([^`\n]{1,500})`|\*\*([^*\n]{1,500})\*\*|\[([^[\]\n]{1,300})\]\((https?:\/\/[^\s()<>]{1,2000})\)|(https?:\/\/[^\s<>"`\]]{1,2000})|\[(\d{1,3})\]/g;
const ITEM = /^ {0,3}(?:[-*•]|(\d{1,9})[.)])\s+(?=\S)/;

// Every sign that one cannot see, or that turns the order of the others round, as a mark that one can see.
export const visible = (text) =>
	String(text ?? "")
		.replace(/\r\n?/g, "\n")
		.replace(UNSEEN, (sign, at, whole) => (JOINERS.includes(sign) && whole.charCodeAt(at - 1) > 0x2ff ? sign : marked(sign)))
		.replace(/(\p{M}{6})\p{M}+/gu, "$1");

const marked = (sign) => `⟨U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;

export const oneLine = (text, size = 140) => visible(text).replace(/\s+/g, " ").slice(0, size);

export const safeUrl = (text) => {
	try {
		const { protocol, href } = new URL(text);
		return /^https?:$/.test(protocol) ? href : "";
	} catch {
		return "";
	}
};

export const link = (href, label) => h("a", { href, title: href, rel: "noopener noreferrer nofollow", target: "_blank" }, label);

// What a person wrote: signs, no markup, no links to click.
export const plain = (text) => folded(visible(text), (part) => [h("p", {}, part)]);

// What the agent wrote. `chip(n)` is the node of citation n, or nothing.
export const rich = (text, chip) => folded(visible(text), (part) => blocks(part.split("\n"), chip));

const folded = (text, make) => {
	const body = h("div", { class: "body" }, ...make(text.slice(0, LONG)));
	if (text.length > LONG) {
		const rest = h("button", { type: "button", class: "quiet" }, `Show all ${text.length.toLocaleString()} characters`);
		rest.onclick = () => body.replaceChildren(...make(text));
		body.append(rest);
	}
	return body;
};

const blocks = (lines, chip) => {
	const nodes = [];
	for (let i = 0; i < lines.length; ) {
		const from = i;
		const first = lines[i++];
		const item = ITEM.exec(first);
		const take = (goes) => {
			while (i < lines.length && goes(lines[i])) i++;
			return lines.slice(from, i);
		};
		if (/^ {0,3}```/.test(first)) {
			const body = take((line) => !/^ {0,3}```/.test(line)).slice(1);
			i++;
			nodes.push(h("pre", {}, h("code", {}, body.join("\n"))));
		} else if (item) {
			const items = take((line) => ITEM.test(line)).map((line) => h("li", {}, inline(line.replace(ITEM, ""), chip)));
			const list = h(item[1] ? "ol" : "ul", {}, ...items);
			if (item[1]) list.start = Number(item[1]);
			nodes.push(list);
		} else if (/^ {0,3}#{1,6}\s/.test(first)) nodes.push(h("p", {}, h("strong", {}, inline(first.replace(/^[ #]+/, ""), chip))));
		else if (first.trim()) nodes.push(h("p", {}, inline(take((line) => line.trim() && !ITEM.test(line) && !/^ {0,3}(```|#)/.test(line)).join("\n"), chip)));
	}
	return nodes;
};

const inline = (text, chip = () => null) => {
	const found = new DocumentFragment();
	let done = 0;
	for (const match of text.matchAll(INLINE)) {
		const [all, code, bold, label, target, bare, number] = match;
		found.append(text.slice(done, match.index));
		done = match.index + all.length;
		if (code) found.append(h("code", {}, code));
		else if (bold) found.append(h("strong", {}, inline(bold, chip)));
		else if (target) found.append(safeUrl(target) ? link(safeUrl(target), label) : all);
		else if (number) found.append(chip(Number(number)) ?? all);
		else {
			const shown = bare.replace(/[.,;:!?)*_']{1,20}$/, "");
			found.append(safeUrl(shown) ? link(safeUrl(shown), shown) : shown, bare.slice(shown.length));
		}
	}
	found.append(text.slice(done));
	return found;
};
