// One person: what is stored of them, their export, and their erasure.
import { get, post } from "./api.js";
import { sheet } from "./dialogs.js";
import { button, h } from "./dom.js";
import { addPage } from "./pages.js";
import { happened, may } from "./state.js";
import { oneLine, visible } from "./text.js";
import { exact, size } from "./words.js";

const ERASE_MS = 3_600_000; // all data is written anew and searched
const body = h("div", { class: "sheet-like" });
const title = h("h1", { tabIndex: -1 }, "Person");
const node = h("main", { class: "place person", "aria-label": "Person" }, h("header", { class: "place-head" }, title, h("a", { href: "#/", onclick: (event) => history.length > 1 && (event.preventDefault(), history.back()) }, "Back")), body);
let shown = "";

const open = async (what) => {
	shown = what;
	body.replaceChildren(h("div", { class: "bones" }, h("i"), h("i")));
	try {
		const found = await get(`users/${what}`);
		if (shown === what) show(found);
	} catch (refusal) {
		if (refusal.status === 401) return happened("out");
		body.replaceChildren(h("p", { class: "about", role: "alert" }, refusal.detail));
	}
	title.focus();
};

const show = (found) => {
	const held = found.holds.length > 0;
	const names = [...new Set(found.identities.map((each) => oneLine(each.name, 60)).filter(Boolean))];
	title.textContent = names.join(", ") || "Person";
	const hold = (each) => h("p", { class: "warned-box" }, `Kept by law since ${exact(each.since_ms)}: ${visible(each.reason)}. While it stands, nothing of this person is erased.`);
	body.replaceChildren(
		...found.holds.map(hold),
		h("section", {}, h("h2", {}, "Accounts"), h("ul", {}, ...found.identities.map((each) => h("li", {}, h("code", {}, visible(each.account)), " ", oneLine(each.name, 80), each.verified ? "" : h("small", {}, " not vouched for"))))),
		h("section", {}, h("h2", {}, "Stored"), h("dl", {}, ...Object.entries(found.counts).flatMap(([name, count]) => [h("dt", {}, name), h("dd", {}, String(count))]))),
		h("section", {}, h("h2", {}, "Export"), h("p", { class: "about" }, "Everything of this person, as one ZIP: user.json and their files. Give it to nobody else, and delete it when it has been handed over."), h("p", {}, h("a", { class: "as-button", href: `/console/api/users/${encodeURIComponent(found.user)}/export`, download: "" }, "Export"))),
		may("erase") && h("section", {}, h("h2", {}, "Erase"), h("p", { class: "about" }, "Takes every word, file and trace of this person out of Frontdesk. It cannot be undone."), h("p", {}, h("button", { type: "button", class: "bad", disabled: held, onclick: () => erase(found) }, "Erase…")), held && h("p", { class: "problem" }, "The legal hold keeps everything. It ends with: frontdesk user release.")),
	);
};

const labelled = (id, label, properties) => {
	const input = h("input", { id, autocomplete: "off", required: true, ...properties });
	return [input, h("div", { class: "field" }, h("label", { for: id }, label), input)];
};

const erase = (found) => {
	const [reason, reasonRow] = labelled("erase-reason", "Why, for the record (it must not name the person)", { maxLength: 500, placeholder: "request 2026-114" });
	const [typed, typedRow] = labelled("erase-typed", `Write “${found.confirm}”`, { spellcheck: false });
	const [password, passwordRow] = labelled("erase-password", "Your password", { type: "password", autocomplete: "current-password" });
	const [code, codeRow] = labelled("erase-code", "A new code from your authenticator", { inputMode: "numeric", autocomplete: "one-time-code", maxLength: 12 });
	const problem = h("p", { class: "problem", role: "alert" });
	const go = h("button", { class: "bad" }, "Erase for good");
	const form = h("form", {}, reasonRow, typedRow, passwordRow, codeRow, problem, h("div", { class: "foot" }, button("", "Cancel", () => dialog.close()), go));
	const dialog = sheet("Erase this person?", form);
	form.onsubmit = async (event) => {
		event.preventDefault();
		problem.textContent = "";
		if (typed.value.trim().toLowerCase() !== found.confirm) {
			problem.textContent = `Write “${found.confirm}” to say that you mean this person.`;
			return typed.focus();
		}
		go.disabled = true;
		go.textContent = "Erasing…";
		try {
			await post("prove", { password: password.value, code: code.value });
			receipt(await post(`users/${encodeURIComponent(found.user)}/erase`, { reason: reason.value, typed: typed.value }, ERASE_MS));
			dialog.close();
		} catch (refusal) {
			if (refusal.code === "signed_out") return happened("out");
			problem.textContent = refusal.status ? refusal.detail : "The answer did not come. Look at this page again: whoever is erased is not there any more.";
			code.value = "";
			go.disabled = false;
			go.textContent = "Erase for good";
		}
	};
	reason.focus();
};

const receipt = (told) => {
	const left = told.scan?.found.filter((each) => !Object.keys(each.rows).length) ?? [];
	const places = Object.entries(told.places).map(([place, count]) => h("tr", {}, h("th", { scope: "row" }, place), h("td", {}, String(count))));
	const outside = told.outside.map((each) => h("li", {}, h("strong", {}, visible(each.where)), ` (${visible(each.what)}): ${visible(each.status)}`));
	title.textContent = "Erased";
	body.replaceChildren(
		h("section", { class: "receipt", role: "status" }, h("h2", {}, "Receipt"), h("dl", {}, ...[["Erasure", told.erasure], ["On record as", told.pseudonym], ["At", exact(told.at_ms)], ["Files", String(told.files)], ["Searched", told.scan ? `${size(told.scan.bytes)}, for ${told.scan.strings} strings` : ""]].flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))),
		left.length > 0 && h("p", { class: "problem" }, `Something is left over in: ${left.map((each) => each.file).join(", ")}. Report this.`),
		told.not_withdrawn > 0 && h("p", { class: "problem" }, `${told.not_withdrawn} drafts could not be taken away from their platform.`),
		places.length > 0 && h("section", {}, h("h2", {}, "Rows"), h("div", { class: "wide" }, h("table", {}, h("tbody", {}, ...places)))),
		h("section", {}, h("h2", {}, "Copies that are yours to delete"), h("ul", {}, ...outside)),
	);
	title.focus();
};

addPage("user", { label: "", right: "export", node, open, shut: () => body.replaceChildren() });
