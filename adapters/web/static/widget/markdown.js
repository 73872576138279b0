// A safe part of Markdown: text only becomes text nodes, nothing is fetched, and time is linear.
import { h } from "./dom.js";

const DEPTH = 16;
const TOKEN =
	/\\([!-/:-@[-`{-~])|\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()|(https?:\/\/[^\s<>"`\]]+)|!?\[|\]|`+|\*+|_+/g;
const TARGET = /\(\s*<?([^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?:\s+"[^"\n]*")?\s*\)/y;
const ITEM = /^( {0,12})(?:[-*+•]|(\d{1,9})[.)])\s+(?=\S)/;
const FENCE = /^ {0,3}(```+|~~~+)/;
const HEAD = /^ {0,3}#{1,6}\s+/;
const QUOTE = /^ {0,3}> ?/;
const TAGS = { "*": "em", _: "em", "**": "strong", __: "strong" };

// Without control and reordering characters and towers of combining marks.
export const clean = (text) =>
	String(text ?? "")
		.replace(/[\0-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]/g, "")
		.replace(/(\p{M}{6})\p{M}+/gu, "$1");

export const safeUrl = (text) => {
	try {
		const { protocol, href } = new URL(text);
		return /^(https?|mailto):$/.test(protocol) && href;
	} catch {
		return "";
	}
};

const link = (href, ...children) => h("a", { href, title: href, rel: "noopener noreferrer nofollow", target: "_blank" }, ...children);

// `chip(n)` is the node of citation n, or nothing. In a `live` draft what is open counts as closed, and what did not change stays.
export const render = (parent, text, chip = () => null, live = false) => {
	text = clean(text);
	let end = text.length;
	while (live && "*_`[!".includes(text[end - 1] || " ")) end--;
	const old = (live && parent.blocks) || [];
	const blocks = parse(text.slice(0, end).split("\n"), { chip, live }, 0);
	let same = 0;
	while (same < blocks.length - 1 && old[same] === blocks[same].source) same++;
	while (parent.childNodes.length > same) parent.lastChild.remove();
	parent.append(...blocks.slice(same).map(({ make }) => make()));
	parent.blocks = blocks.map(({ source }) => source);
};

const parse = (lines, how, depth) => {
	if (depth > 5) return [{ make: () => lines.join("\n") }];
	const nodes = (inner) => parse(inner, how, depth + 1).map(({ make }) => make());
	const blocks = [];
	for (let i = 0; i < lines.length; ) {
		const from = i;
		const line = lines[i++];
		const take = (goes) => {
			while (i < lines.length && goes(lines[i])) i++;
			return lines.slice(from, i);
		};
		const add = (make) => blocks.push({ make, source: lines.slice(from, i).join("\n") });
		const fence = FENCE.exec(line);
		if (fence) {
			const body = take((next) => !next.trimStart().startsWith(fence[1])).slice(1);
			i++;
			add(() => h("pre", {}, h("code", {}, body.join("\n"))));
		} else if (HEAD.test(line)) add(() => h("p", {}, h("strong", {}, inline(line.replace(HEAD, ""), how))));
		else if (/^ {0,3}([-*_])\1{2,}$/.test(line.trimEnd())) add(() => h("hr"));
		else if (QUOTE.test(line)) {
			const body = take((next) => QUOTE.test(next)).map((next) => next.replace(QUOTE, ""));
			add(() => h("blockquote", {}, ...nodes(body)));
		} else if (ITEM.test(line)) {
			const body = take((next) => ITEM.test(next) || /^\s+\S/.test(next));
			add(() => list(body, nodes));
		} else if (line.includes("|") && /^[\s:-]*\|[\s|:-]*$/.test(lines[i]?.slice(0, 400))) {
			const body = take((next) => next.includes("|"));
			add(() => table(body, how));
		} else if (line.trim()) {
			const body = take((next) => next.trim() && ![FENCE, HEAD, QUOTE, ITEM].some((start) => start.test(next)));
			add(() => h("p", {}, inline(body.join("\n"), how)));
		}
	}
	return blocks;
};

const list = (lines, nodes) => {
	const [, indent, number] = ITEM.exec(lines[0]);
	const items = [];
	for (const line of lines) {
		const match = ITEM.exec(line);
		if (match?.[1].length <= indent.length + 1) items.push([line.slice(match[0].length)]);
		else items.at(-1).push(line.replace(/^\s{0,4}/, ""));
	}
	const node = h(number ? "ol" : "ul", {}, ...items.map((item) => h("li", {}, ...nodes(item))));
	if (number) node.start = number;
	return node;
};

const table = ([head, , ...lines], how) => {
	const row = (line, tag) => h("tr", {}, ...line.trim().replace(/^\||\|$/g, "").split("|", 20).map((cell) => h(tag, {}, inline(cell.trim(), how))));
	return h("div", { class: "wide" }, h("table", {}, row(head, "th"), ...lines.map((line) => row(line, "td"))));
};

// One pass with a stack; a mark that never closes dissolves into its characters.
const inline = (text, { chip, live }) => {
	const token = new RegExp(TOKEN);
	const top = new DocumentFragment();
	const stack = [];
	const unclosed = new Set();
	const lastParen = text.lastIndexOf(")");
	let target = top;
	let done = 0;

	const open = (mark) => {
		if (stack.length >= DEPTH) return target.append(mark);
		stack.push({ mark, parent: target });
		target = new DocumentFragment();
	};
	const pop = (wrap) => {
		const { mark, parent } = stack.pop();
		parent.append(...(wrap ? [wrap(target, mark)] : [mark, target]));
		target = parent;
	};
	const close = (at, wrap) => {
		while (stack.length > at + 1) pop();
		pop(wrap);
	};
	const find = (...marks) => stack.findLastIndex(({ mark }) => marks.includes(mark));
	const styled = (node, mark) => h(TAGS[mark], {}, node);

	const code = (ticks, start) => {
		const end = new RegExp("(?<!`)" + ticks + "(?!`)", "g");
		end.lastIndex = start;
		const match = !unclosed.has(ticks) && end.exec(text);
		if (!match && !live) {
			unclosed.add(ticks);
			return target.append(ticks);
		}
		target.append(h("code", {}, text.slice(start, match ? match.index : undefined)));
		token.lastIndex = match ? end.lastIndex : text.length;
	};
	const bracket = (start) => {
		const from = find("[", "![");
		TARGET.lastIndex = start;
		const match = from >= 0 && TARGET.exec(text);
		const url = match && safeUrl(match[1]);
		if (url && !stack[from].dead) {
			close(from, (node) => link(url, node.textContent.trim() ? node : url));
			for (const frame of stack) frame.dead = true; // no link within a link
			token.lastIndex = TARGET.lastIndex;
		} else if (live && from >= 0 && text[start] === "(" && lastParen < start) token.lastIndex = text.length;
		else {
			if (from >= 0) close(from);
			target.append("]");
		}
	};
	const emphasis = (run, before, after) => {
		const c = run[0];
		let size = run.length;
		if (size > 3) return target.append(run);
		const inWord = (other) => c === "_" && /[\p{L}\p{N}]/u.test(other);
		const closes = /\S/.test(before) && !inWord(after);
		const opens = /\S/.test(after) && !inWord(before);
		while (size) {
			const mark = size === 1 || (closes && stack[find(c, c + c)]?.mark === c) ? c : c + c;
			const from = closes ? find(mark) : -1;
			size -= mark.length;
			if (from >= 0) close(from, styled);
			else if (opens) open(mark);
			else target.append(mark);
		}
	};

	for (let match; (match = token.exec(text)); done = token.lastIndex) {
		const [all, escaped, numbers, bare] = match;
		const end = token.lastIndex;
		target.append(text.slice(done, match.index));
		if (escaped) target.append(escaped);
		else if (numbers) {
			const chips = numbers.split(",").map((n) => chip(+n));
			target.append(...(chips.every(Boolean) ? chips : [all]));
		} else if (bare) {
			let size = all.length;
			while (".,;:!?)*_'".includes(all[size - 1])) size--;
			const shown = all.slice(0, size);
			const url = find("[", "![") < 0 && safeUrl(shown);
			target.append(url ? link(url, shown) : shown);
			token.lastIndex = match.index + size;
		} else if (all.endsWith("[")) open(all);
		else if (all === "]") bracket(end);
		else if (all[0] === "`") code(all, end);
		else emphasis(all, text[match.index - 1] || " ", text[end] || " ");
	}
	target.append(text.slice(done));
	while (stack.length) pop(live && ((node, mark) => (TAGS[mark] ? styled(node, mark) : node)));
	return top;
};
