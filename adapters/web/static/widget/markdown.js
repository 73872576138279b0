// A small, safe part of Markdown as DOM nodes. Text only ever becomes text nodes, nothing is fetched, and every path is linear in
// the length of the text: nesting is capped and no search is repeated from every start.

const DEPTH = 16;
const LINK = /\(\s*<?([^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?:\s+"[^"\n]*")?\s*\)/y;
const BARE = /https?:\/\/[^\s<>"`\]]+/y;
const ANGLE = /<((?:https?:\/\/|mailto:)[^\s<>]+)>/y;
const MARKS = /\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()/y;
const ITEM = /^( {0,12})(?:[-*+•]|(\d{1,9})[.)])\s+(?=\S)/;
const FENCE = /^ {0,3}(```+|~~~+)/;
const TAGS = { "*": "em", _: "em", "**": "strong", __: "strong", "~~": "s" };

/** Text without control and reordering characters and without towers of combining marks. */
export const clean = (text) =>
	String(text ?? "")
		.replace(/[\0-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]/g, "")
		.replace(/(\p{M}{6})\p{M}+/gu, "$1");

export const safeUrl = (text) => {
	try {
		const url = new URL(text);
		return /^(https?|mailto):$/.test(url.protocol) ? url.href : null;
	} catch {
		return null;
	}
};

export const link = (url, ...children) => {
	const node = document.createElement("a");
	node.href = node.title = url;
	node.rel = "noopener noreferrer nofollow";
	node.target = "_blank";
	node.append(...children);
	return node;
};

const element = (tag, ...children) => {
	const node = document.createElement(tag);
	node.append(...children);
	return node;
};

/** Renders `text` into `parent`. `chip(n)` gives the node of citation n, or nothing. With `live` (a draft) what is still open counts
 * as closed, and blocks that did not change stay the nodes they are. */
export function render(parent, text, chip = () => null, live = false) {
	text = clean(text);
	if (live) {
		let end = text.length;
		while (end && "*_~`[!".includes(text[end - 1])) end--;
		text = text.slice(0, end);
	}
	const old = parent.blocks || [];
	const blocks = parse(text.split("\n"));
	let same = 0;
	while (live && same < old.length && same < blocks.length - 1 && old[same] === blocks[same].source) same++;
	while (parent.childNodes.length > same) parent.lastChild.remove();
	for (const block of blocks.slice(same)) parent.append(build(block, { chip, live }, 0));
	parent.blocks = blocks.map((block) => block.source);
}

function parse(lines) {
	const blocks = [];
	const starts = (line) => FENCE.test(line) || ITEM.test(line) || /^ {0,3}(#{1,6}\s|>)/.test(line);
	for (let i = 0; i < lines.length; ) {
		const from = i;
		const line = lines[i++];
		const fence = FENCE.exec(line);
		const take = (goes) => {
			while (i < lines.length && goes(lines[i])) i++;
			return lines.slice(from, i);
		};
		const add = (kind, body) => blocks.push({ kind, body, source: kind + lines.slice(from, i).join("\n") });
		if (!line.trim()) continue;
		if (fence) {
			const body = take((next) => !next.trimStart().startsWith(fence[1])).slice(1);
			i++;
			add("pre", body);
		} else if (/^ {0,3}#{1,6}\s/.test(line)) add("head", [line.trim().replace(/^#+\s*/, "")]);
		else if (/^ {0,3}([-*_])\1{2,}$/.test(line.trimEnd())) add("hr", []);
		else if (/^ {0,3}>/.test(line)) add("quote", take((next) => /^ {0,3}>/.test(next)).map((next) => next.replace(/^ {0,3}> ?/, "")));
		else if (ITEM.test(line)) add("list", take((next) => ITEM.test(next) || /^\s+\S/.test(next)));
		else if (line.includes("|") && isRule(lines[i])) add("table", take((next) => next.includes("|")));
		else add("p", take((next) => next.trim() && !starts(next)));
	}
	return blocks;
}

const isRule = (line) => line?.length < 500 && line.includes("-") && /^[\s|:-]+$/.test(line) && line.includes("|");

function build({ kind, body }, how, depth) {
	const inside = (lines) => (depth < 5 ? parse(lines).map((block) => build(block, how, depth + 1)) : [lines.join("\n")]);
	if (kind === "hr") return element("hr");
	if (kind === "pre") return element("pre", element("code", body.join("\n")));
	if (kind === "head") return element("p", element("strong", inline(body[0], how)));
	if (kind === "quote") return element("blockquote", ...inside(body));
	if (kind === "table") return table(body, how);
	if (kind === "list") return list(body, inside);
	return element("p", inline(body.join("\n"), how));
}

function list(lines, inside) {
	const [, indent, number] = ITEM.exec(lines[0]);
	const node = element(number ? "ol" : "ul");
	if (number) node.start = number;
	let item = [];
	const flush = () => item.length && node.append(element("li", ...inside(item)));
	for (const line of lines) {
		const match = ITEM.exec(line);
		if (match && match[1].length <= indent.length + 1) {
			flush();
			item = [line.slice(match[0].length)];
		} else item.push(line.replace(/^\s{0,4}/, ""));
	}
	flush();
	return node;
}

function table(lines, how) {
	const rows = lines
		.filter((_, i) => i !== 1)
		.map((line, i) => {
			const cells = line.trim().replace(/^\|/, "").replace(/\|$/, "").split("|").slice(0, 20);
			return element("tr", ...cells.map((cell) => element(i ? "td" : "th", inline(cell.trim(), how))));
		});
	const node = element("div", element("table", ...rows));
	node.className = "wide";
	return node;
}

/** One pass with a stack of open marks; a mark that never closes dissolves into its own characters. */
function inline(text, { chip, live }) {
	const top = document.createDocumentFragment();
	const stack = [];
	const ticks = tickRuns(text);
	const lastParen = text.lastIndexOf(")");
	let target = top;
	let plain = "";
	const write = (node) => {
		flush();
		target.append(node);
	};
	const flush = () => {
		if (!plain) return;
		plain.split("\n").forEach((part, i) => target.append(...(i ? [element("br")] : []), part));
		plain = "";
	};
	const open = (mark) => {
		if (stack.length >= DEPTH) return void (plain += mark);
		flush();
		stack.push({ mark, parent: target, node: (target = document.createDocumentFragment()) });
	};
	const pop = (wrap) => {
		flush();
		const { mark, parent, node } = stack.pop();
		target = parent;
		if (wrap) target.append(wrap(node));
		else target.append(mark, node);
	};
	const find = (marks) => stack.findLastIndex(({ mark }) => marks.includes(mark));
	const close = (at, wrap) => {
		while (stack.length > at + 1) pop();
		pop(wrap);
	};
	const at = (pattern, i) => {
		pattern.lastIndex = i;
		return pattern.exec(text);
	};

	for (let i = 0; i < text.length; ) {
		const c = text[i];
		let match;
		if (c === "\\" && /[!-/:-@[-`{-~]/.test(text[i + 1] || "")) {
			plain += text[i + 1];
			i += 2;
		} else if (c === "`") {
			const size = ticks.get(i);
			const end = ticks.end(i, size);
			if (end < 0 && !live) plain += "`".repeat(size);
			else write(element("code", text.slice(i + size, end < 0 ? undefined : end)));
			i = end < 0 ? (live ? text.length : i + size) : end + size;
		} else if (c === "[" && (match = at(MARKS, i)) && match[1].split(",").every((n) => chip(+n))) {
			for (const n of match[1].split(",")) write(chip(+n));
			i += match[0].length;
		} else if (c === "[" || (c === "!" && text[i + 1] === "[")) {
			open(c === "[" ? c : "![");
			i += c === "[" ? 1 : 2;
		} else if (c === "]") {
			const from = find(["[", "!["]);
			match = from >= 0 && text[i + 1] === "(" && at(LINK, i + 1);
			const url = match && safeUrl(match[1]);
			if (url && !stack[from].dead) {
				close(from, (node) => link(url, node.textContent.trim() ? node : url));
				for (const frame of stack) frame.dead ||= frame.mark.endsWith("[");
				i += 1 + match[0].length;
			} else if (live && from >= 0 && text[i + 1] === "(" && lastParen < i) {
				break;
			} else {
				if (from >= 0) close(from);
				plain += c;
				i++;
			}
		} else if (c === "<" && (match = at(ANGLE, i)) && safeUrl(match[1])) {
			write(link(safeUrl(match[1]), match[1]));
			i += match[0].length;
		} else if (c === "h" && find(["[", "!["]) < 0 && (match = at(BARE, i))) {
			let end = match[0].length;
			while (".,;:!?)*_~'".includes(match[0][end - 1])) end--;
			const shown = match[0].slice(0, end);
			if (safeUrl(shown)) write(link(safeUrl(shown), shown));
			else plain += shown;
			i += end;
		} else if (c === "*" || c === "_" || c === "~") {
			let size = 1;
			while (text[i + size] === c) size++;
			emphasis(c, size, text[i - 1] || " ", text[i + size] || " ");
			i += size;
		} else {
			plain += c;
			i++;
		}
	}

	function emphasis(c, size, before, after) {
		if (size > 3 || (c === "~" && size !== 2)) return void (plain += c.repeat(size));
		const word = /[\p{L}\p{N}]/u;
		const closes = !/\s/.test(before) && !(c === "_" && word.test(after));
		const opens = !/\s/.test(after) && !(c === "_" && word.test(before));
		while (size) {
			const last = find([c, c + c]);
			const mark = size === 1 || (closes && last >= 0 && stack[last].mark === c) ? c : c + c;
			const from = closes ? find([mark]) : -1;
			size -= mark.length;
			if (from >= 0) close(from, (node) => element(TAGS[mark], node));
			else if (opens) open(mark);
			else plain += mark;
		}
	}

	while (stack.length) {
		const { mark } = stack.at(-1);
		pop(live ? (node) => (TAGS[mark] ? element(TAGS[mark], node) : node) : null);
	}
	flush();
	return top;
}

/** Where runs of backticks start and where the next run of the same length is. */
function tickRuns(text) {
	const sizes = new Map();
	const next = new Map();
	const last = new Map();
	for (const { 0: run, index } of text.matchAll(/`+/g)) {
		sizes.set(index, run.length);
		if (last.has(run.length)) next.set(last.get(run.length), index);
		last.set(run.length, index);
	}
	return { get: (i) => sizes.get(i) || 1, end: (i) => next.get(i) ?? -1 };
}
