// Every command and prepared reply by its name, and the list of keys.
import { canned, perform, possible } from "./commands.js";
import { sheet } from "./dialogs.js";
import { h } from "./dom.js";
import { happened, may, state } from "./state.js";
import { oneLine } from "./text.js";

export const KEYS = [
	["j / k", "next and previous conversation"],
	["Enter", "open it"],
	["r", "reply"],
	["n", "note"],
	["Ctrl Enter", "send what is written"],
	["t", "take"],
	["e", "resolve"],
	["b", "return to the agent"],
	["s", "snooze"],
	["x", "transfer"],
	["p", "priority"],
	["g", "suggest a reply"],
	["/ or Ctrl K", "all commands and prepared replies"],
	["i", "about the user"],
	["f", "search"],
	["Esc", "close, step back"],
	["?", "this list"],
];

export const showKeys = () =>
	sheet("Keys", h("dl", { class: "keys" }, ...KEYS.flatMap(([key, what]) => [h("dt", {}, ...key.split(" ").map((part) => (/^(or|\/)$/.test(part) && key.length > 1 && key !== "/" ? ` ${part} ` : h("kbd", {}, part)))), h("dd", {}, what)])));

const items = (row) => [
	...possible(row).map((command) => ({ name: command.name, label: command.label, hint: command.key ?? "", run: (rest) => perform(command, rest) })),
	...(may("reply") ? canned(row) : []).map((each) => ({ name: each.name, label: `/${each.name}`, hint: oneLine(each.text, 90), run: () => happened("insert", each.text) })),
];

const fits = (item, words) => !words || item.name.startsWith(words) || item.label.toLowerCase().includes(words);

export const openPalette = () => {
	const open = state.open;
	if (!open?.row) return;
	const all = items(open.row);
	let found = [];
	let at = 0;
	const field = h("input", { role: "combobox", "aria-label": "Command", "aria-controls": "found", "aria-expanded": "true", "aria-autocomplete": "list", placeholder: "Command, or the name of a prepared reply", autocomplete: "off", maxLength: 400 });
	const list = h("div", { id: "found", role: "listbox", "aria-label": "Commands", class: "choices" });
	const dialog = sheet("Commands", field, list);
	const run = (item) => {
		const rest = field.value.trim().replace(/^[/!]/, "").slice(item.name.length).trim();
		const isNamed = field.value.trim().replace(/^[/!]/, "").startsWith(`${item.name} `);
		dialog.close();
		item.run(isNamed ? rest : "");
	};
	const draw = () => {
		const words = field.value.trim().replace(/^[/!]/, "").toLowerCase();
		found = all.filter((item) => fits(item, words) || words.startsWith(`${item.name} `));
		at = Math.min(at, Math.max(0, found.length - 1));
		list.replaceChildren(
			...found.map((item, place) => h("div", { role: "option", id: `found-${place}`, class: "choice", "aria-selected": String(place === at), onclick: () => run(item) }, h("span", {}, item.label), item.hint && h("small", {}, item.hint))),
			found.length ? "" : h("p", { class: "about" }, "There is no such command here."),
		);
		field.setAttribute("aria-activedescendant", found.length ? `found-${at}` : "");
		list.children[at]?.scrollIntoView({ block: "nearest" });
	};
	field.oninput = () => {
		at = 0;
		draw();
	};
	field.onkeydown = (event) => {
		const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
		if (step && found.length) {
			event.preventDefault();
			at = (at + step + found.length) % found.length;
			draw();
		}
		if (event.key === "Enter" && found[at]) {
			event.preventDefault();
			run(found[at]);
		}
	};
	draw();
	field.focus();
};

