// Native dialogs: they hold the focus, close with Escape and give the focus back.
import { button, h, icon } from "./dom.js";
import { happened } from "./state.js";
import { visible } from "./text.js";

export const sheet = (title, ...content) => {
	const heading = h("h2", { id: "sheet-title" }, title);
	const dialog = h("dialog", { class: "sheet", "aria-labelledby": "sheet-title" });
	const shut = button("icon", "Close", () => dialog.close(), icon("close"));
	dialog.append(h("header", {}, heading, shut), h("div", { class: "page" }, ...content));
	dialog.onclose = () => dialog.remove();
	dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
	document.body.append(dialog);
	dialog.showModal();
	return dialog;
};

// Asks for one thing: one of `options` ({value, label, hint}), a text, or either. Gives null where nothing was answered.
export const ask = ({ title, about = "", label = "", options = [], isLong = false, isOptional = false, submit = "OK", placeholder = "", value = "" }) =>
	new Promise((done) => {
		let answer = null;
		const finish = (text) => {
			answer = text;
			dialog.close();
		};
		const choices = options.map((each) =>
			h("button", { type: "button", class: "choice", onclick: () => finish(each.value) }, h("span", {}, each.label), each.hint && h("small", {}, each.hint)),
		);
		const field = label && h(isLong ? "textarea" : "input", { id: "asked", autocomplete: "off", placeholder, value, rows: 4, maxLength: 4000 });
		const form = label && h("form", {}, h("label", { for: "asked" }, label), field, h("div", { class: "foot" }, button("", "Cancel", () => dialog.close()), h("button", { class: "main" }, submit)));
		const send = (event) => {
			event.preventDefault();
			if (field.value.trim() || isOptional) finish(field.value.trim());
			else field.focus();
		};
		if (form) form.onsubmit = send;
		if (isLong) field.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && send(event));
		const dialog = sheet(title, about && h("p", { class: "about" }, about), choices.length > 0 && h("div", { class: "choices" }, ...choices), form);
		(choices[0] ?? field)?.focus();
		dialog.onkeydown = (event) => {
			const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
			const at = choices.indexOf(document.activeElement);
			if (!step || at < 0) return;
			event.preventDefault();
			choices[(at + step + choices.length) % choices.length].focus();
		};
		dialog.onclose = () => {
			dialog.remove();
			done(answer);
		};
	});

// Does a thing once it is confirmed, and stays with the reason where it does not work. `what`: the words or the name that it is about.
export const sure = ({ title, what, about, submit, kind, act, done }) => {
	const problem = h("p", { class: "problem", role: "alert" });
	const go = h("button", { type: "button", class: kind }, submit);
	const dialog = sheet(title, h("p", { class: "verbatim" }, visible(what)), h("p", { class: "about" }, about), problem, h("div", { class: "foot" }, button("", "Cancel", () => dialog.close()), go));
	go.onclick = async () => {
		go.disabled = true;
		try {
			await act();
			dialog.close();
			done();
		} catch (refusal) {
			if (refusal.status === 401) return happened("out");
			problem.textContent = refusal.detail;
			go.disabled = false;
		}
	};
	go.focus();
};

export const isBusy = () => document.querySelector("dialog[open]") !== null;
