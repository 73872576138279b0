// What the agents know: documents by source, what a question finds, uploads.
import { get, post, put } from "./api.js";
import { sure } from "./dialogs.js";
import { announce, button, h, icon, tell } from "./dom.js";
import { addPage } from "./pages.js";
import { happened, may } from "./state.js";
import { link, oneLine, safeUrl, visible } from "./text.js";
import { clock, size, time } from "./words.js";

const ACCEPTED = ".md,.markdown,.txt,.text,.html,.htm,.pdf,.docx";
const SHOWN = 100; // documents of one source, before one asks for all

let told = null;
const opened = new Set(["uploads"]); // sources that are unfolded

const title = h("h1", { tabIndex: -1 }, "Knowledge");
const list = h("div", { class: "shelves" });
const upload = h("section", { class: "upload", hidden: true });
const found = h("div", { class: "found", "aria-live": "polite" });
const question = h("input", { id: "question", type: "search", maxLength: 500, autocomplete: "off", placeholder: "How long can I return something?" });
const asking = h("form", { class: "asking", role: "search" }, h("label", { for: "question" }, "What does a question find?"), h("div", { class: "row-of" }, question, h("button", { class: "main" }, "Search")));
const node = h("main", { class: "place knowledge", "aria-label": "Knowledge" }, h("header", { class: "place-head" }, title), h("div", { class: "sheet-like" }, h("section", {}, asking, found), upload, list));

const load = async () => {
	try {
		told = await get("knowledge");
		draw();
	} catch (refusal) {
		if (refusal.status === 401) return happened("out");
		list.replaceChildren(h("p", { class: "problem", role: "alert" }, refusal.detail), button("", "Try again", load));
	}
};

const draw = () => {
	upload.hidden = !may("manage_knowledge");
	audiences.replaceChildren(...told.audiences.map((each) => h("option", { value: each })));
	list.replaceChildren(
		...[
			!told.is_ready && h("p", { class: "warned-box", role: "status" }, "The documents are being read for the first time. Questions find them soon."),
			...told.sources.map(source),
			told.passed_over.length > 0 && h("section", {}, h("h2", {}, "Passed over"), h("ul", {}, ...told.passed_over.map((each) => h("li", { class: "problem" }, visible(each))))),
		].filter(Boolean),
	);
};

// --- documents ----------------------------------------------------------------------------------------------------

const source = (each) => {
	const documents = told.documents.filter((one) => one.source === each.name);
	const details = h("details", { open: opened.has(each.name) }, h("summary", {}, h("strong", {}, each.kind === "uploads" ? "Uploads" : oneLine(each.name, 60)), h("span", { class: "about" }, ` ${count(each.documents)}, ${stateOf(each)}`)));
	const rows = (most) => details.append(h("ul", { class: "documents" }, ...documents.slice(0, most).map(row)));
	if (documents.length) rows(SHOWN);
	else details.append(h("p", { class: "about" }, "Nothing is here yet."));
	if (documents.length > SHOWN) {
		const all = button("quiet", `Show all ${documents.length}`, () => {
			details.lastChild.remove();
			details.lastChild.remove();
			rows(documents.length);
		});
		details.append(all);
	}
	details.ontoggle = () => (details.open ? opened.add(each.name) : opened.delete(each.name));
	const failure = each.state?.failure && h("p", { class: "problem" }, `${visible(each.state.failure)}. ${visible(each.state.mend)} What it had stays.`);
	return h("section", { class: "shelf" }, failure, details);
};

const count = (number) => `${number} document${number === 1 ? "" : "s"}`;
const stateOf = (each) => {
	if (each.kind === "uploads") return "uploaded here";
	if (!each.state) return "read where they stand";
	if (!each.state.read_ms) return `${each.kind}, not read yet`;
	return `${each.kind}, read ${clock(each.state.read_ms)}`;
};

const row = (each) => {
	const is_mine = each.file && may("manage_knowledge");
	const state = each.is_searchable ? `${each.passages} passage${each.passages === 1 ? "" : "s"}` : told.is_ready ? "not searchable (yet)" : "waiting";
	return h(
		"li",
		{},
		h("div", { class: "names" }, h("strong", {}, oneLine(each.title || each.shown, 120)), h("p", { class: "about" }, oneLine(each.shown, 160), h("span", { class: each.is_searchable ? "" : "late" }, ` · ${state}`), ` · ${size(each.size_bytes)} · `, time(each.modified_ms))),
		is_mine && h("a", { class: "icon-link", href: `/console/api/knowledge/files/${encodeURIComponent(each.file)}`, download: each.shown, title: "Download", "aria-label": `Download ${oneLine(each.shown, 80)}` }, icon("file")),
		is_mine && button("icon", `Delete ${oneLine(each.shown, 80)}`, () => remove(each), icon("close")),
	);
};

const remove = (each) =>
	sure({
		title: "Delete this document?",
		what: each.shown,
		about: "It is gone from the answers at once.",
		submit: "Delete",
		kind: "bad",
		act: () => post("knowledge/delete", { name: each.file }, 120_000),
		done: () => {
			tell(`${oneLine(each.shown, 80)} is deleted.`);
			load();
		},
	});

// --- uploads ------------------------------------------------------------------------------------------------------

const picker = h("input", { type: "file", multiple: true, accept: ACCEPTED, class: "hide", tabIndex: -1, "aria-hidden": "true" });
const language = h("input", { id: "upload-language", maxLength: 3, size: 4, autocomplete: "off", spellcheck: false, placeholder: "any" });
const audiences = h("datalist", { id: "audiences" });
const audience = h("input", { id: "upload-audience", maxLength: 60, autocomplete: "off", placeholder: "everyone" });
audience.setAttribute("list", "audiences");
const progress = h("ul", { class: "progress", "aria-live": "polite" });
const zone = h("div", { class: "zone" }, h("p", {}, button("main", "Choose files", () => picker.click()), " or drop them here"), h("p", { class: "about" }, "Markdown, text, HTML, PDF or Word. Each is read before it is taken."), picker);
upload.append(h("h2", {}, "Upload"), h("div", { class: "chosen" }, h("div", { class: "field" }, h("label", { for: "upload-language" }, "Language"), language), h("div", { class: "field" }, h("label", { for: "upload-audience" }, "For whom"), audience, audiences)), zone, progress);

const send = async (files) => {
	for (const file of files) await one(file, false, h("li", {}));
	await load();
};

const one = async (file, isReplacing, line) => {
	const name = oneLine(file.name, 80);
	progress.prepend(line);
	line.className = "";
	line.replaceChildren(`${name}: being read…`);
	if (told && file.size > told.most_bytes) return refused(line, `${name} is too large: ${Math.floor(told.most_bytes / 1048576)} MB at most.`);
	try {
		const kept = await put("knowledge/upload", file, { "X-Language": language.value.trim().toLowerCase(), "X-Audience": encodeURIComponent(audience.value.trim()), "X-Replace": isReplacing ? "1" : "" });
		line.replaceChildren(icon("check"), ` ${oneLine(kept.shown, 80)} is there.`);
		announce(`${oneLine(kept.shown, 80)} is there.`);
	} catch (refusal) {
		if (refusal.status === 401) return happened("out");
		refused(line, refusal.detail);
		if (refusal.code === "exists") line.append(" ", button("", "Replace it", () => one(file, true, line).then(load)), button("quiet", "Leave it", () => line.remove()));
	}
};
const refused = (line, detail) => {
	line.className = "failed";
	line.replaceChildren(icon("warn"), ` ${visible(detail)}`);
};

picker.onchange = () => {
	send([...picker.files]);
	picker.value = "";
};
zone.ondragover = (event) => {
	event.preventDefault();
	zone.classList.add("over");
};
zone.ondragleave = () => zone.classList.remove("over");
zone.ondrop = (event) => {
	event.preventDefault();
	zone.classList.remove("over");
	if (event.dataTransfer.files.length) send([...event.dataTransfer.files]);
};

// --- what a question finds ----------------------------------------------------------------------------------------

asking.onsubmit = async (event) => {
	event.preventDefault();
	if (!question.value.trim()) return question.focus();
	found.replaceChildren(h("div", { class: "bones" }, h("i"), h("i")));
	try {
		const answer = await get("knowledge/why", { q: question.value });
		const words = answer.words.length ? `Looked for: ${answer.words.join(", ")}` : "The question holds only common words.";
		found.replaceChildren(h("p", { class: "about" }, visible(words)), answer.found.length ? h("ol", {}, ...answer.found.map(passage)) : h("p", {}, "No document holds anything like it."));
	} catch (refusal) {
		if (refusal.status === 401) return happened("out");
		found.replaceChildren(h("p", { class: "problem", role: "alert" }, refusal.detail));
	}
};

const passage = (each) => {
	const href = safeUrl(each.url);
	const alike = each.likeness === null ? "" : `, likeness ${each.likeness.toFixed(2)}`;
	return h(
		"li",
		{},
		h("strong", {}, oneLine(each.title, 160)),
		h("p", { class: "about" }, href ? link(href, oneLine(each.document, 120)) : oneLine(each.document, 120), ` · score ${each.score.toFixed(3)}, ${Math.round(each.coverage * 100)} % of the words${alike}`),
		h("p", { class: "about" }, each.holds.length ? `Holds: ${visible(each.holds.join(", "))}` : "", each.lacks.length ? ` Not literally: ${visible(each.lacks.join(", "))}` : ""),
		h("details", {}, h("summary", {}, "Text"), h("p", { class: "verbatim" }, visible(each.text))),
	);
};

addPage("knowledge", {
	label: "Knowledge",
	right: "see",
	node,
	open: () => {
		if (!told) list.replaceChildren(h("div", { class: "bones" }, h("i"), h("i"), h("i")));
		title.focus();
		load();
	},
});
