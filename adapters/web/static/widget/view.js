// The panel: what the person sees and does.
import { connect } from "./connection.js";
import { button, h, json, markup, readable, text } from "./dom.js";
import { makeFiles } from "./files.js";
import { clean, render, safeUrl } from "./markdown.js";
import { makeRows } from "./rows.js";

const LIMIT = 16000;
const NEAR = 14400;
const TYPING_MS = 3000;

export const start = async ({ base, prefix, data, root, launcher, badge, language, style, paint, contrast }) => {
	const path = base + "widget/";
	const words = (name) => json(path + name + ".json");
	const [html, css, english, other] = await Promise.all([markup(path + "panel.html"), text(path + "panel.css"), words("en"), language === "de" && words(language)]);
	const own = window.FrontdeskTexts;
	const all = { ...english, ...other, ...own, ...own?.[language] };
	const t = (key, values = {}) => all[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

	style(css);
	const skin = h("div", { class: "fd", lang: language }, html.body.firstElementChild);
	root.prepend(skin);
	const $ = new Proxy({}, { get: (_, id) => root.getElementById(id) });
	const icon = (name) => Object.assign($["i-" + name].cloneNode(true), { id: "" });
	for (const node of skin.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
	for (const node of skin.querySelectorAll("[data-label]")) node.title = node.ariaLabel = t(node.dataset.label);
	const { panel, menu, log, list, input, survey, queue, dots, jump, banner, notice, sheet: passage } = $;
	input.placeholder = input.ariaLabel = t("write");

	let config, starting, from, cited;
	let owner = "agent";
	let person = "";
	let caseOpen = false;
	let stuck = true;
	let read = 0;
	let typed = 0;
	let top = 0;
	const changed = [];

	const setting = (key) => data[key] ?? config?.[key];
	const name = () => clean(setting("name")) || t("name");
	const phone = () => innerWidth <= 480;
	const rest = () => (phone() ? log : input).focus(); // the focus leaves what is about to vanish
	const settle = () => root.activeElement?.offsetHeight === 0 && rest(); // or what just has
	const tell = (bar, said) => {
		bar.firstElementChild.textContent = said;
		bar.hidden = false;
	};
	const warn = (said) => tell(notice, clean(said));
	const announce = (said) => {
		$.live.append(h("p", {}, said));
		if ($.live.childElementCount > 3) $.live.firstChild.remove();
	};

	const dark = matchMedia("(prefers-color-scheme: dark)");
	const dress = () => {
		const theme = (skin.dataset.theme = /^(light|dark)$/.test(data.theme) ? data.theme : dark.matches ? "dark" : "light");
		skin.style.setProperty("--accent-text", readable(paint(setting("color")), theme, contrast));
		render($.greeting, setting("greeting") || t("greeting"));
		const asked = [setting("suggestions") || []].flat().join("|").split("|");
		$.suggestions.replaceChildren(...asked.filter(Boolean).map((said) => button("choice", said, () => {
			say(said);
			rest();
		})));
		present();
	};

	const present = () => {
		const shown = owner === "operator" ? person : name();
		$.title.textContent = shown;
		$.face.textContent = [...shown][0].toUpperCase();
		$.role.textContent = { agent: t("assistant"), queue: t("waiting") }[owner] || t("person") + " · " + name();
		skin.dataset.owner = owner;
		settle();
	};

	const writing = (on, called) => {
		clearTimeout(dots.timer);
		if (on) dots.timer = setTimeout(writing, called ? 10000 : 60000); // nobody says when a person stops
		dots.hidden = !on;
		dots.firstChild.textContent = t("typing", { name: called || name() });
		follow();
	};

	const answers = (who, called, announced) => {
		const before = owner + person;
		owner = who;
		person = clean(called) || t("person");
		if (owner !== "queue") Object.assign(queue, { hidden: true, place: 0 });
		if (owner !== "agent") writing(false);
		present();
		if (owner === "operator" && owner + person !== before) rows.join(person, announced);
	};

	const arrange = (row) => {
		if (!changed.length) queueMicrotask(() => {
			rows.hide(from || 0);
			seen();
			follow(changed.splice(0).at(-1));
		});
		changed.push(row);
	};

	const seen = () => {
		read = Math.max(read, server.store?.get("read") || 0, panel.open && !document.hidden && rows.last());
		if (server.used) server.store?.set("read", read);
		const unread = panel.open ? 0 : rows.unread(read);
		badge.hidden = !unread;
		badge.textContent = unread;
		launcher.ariaLabel = t(panel.open ? "close" : "open") + (unread ? ", " + t("unread", { count: unread }) : "");
	};

	// Follows the newest text, but not past the start of the answer being read.
	const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 48;
	const follow = (row) => {
		if (stuck) log.scrollTop = row?.author === "agent" ? row.el.offsetTop - 12 : log.scrollHeight;
		stuck = jump.hidden = atEnd();
	};
	const scroll = () => {
		stuck = true;
		follow();
	};
	log.onscroll = () => {
		stuck = jump.hidden = atEnd() || (stuck && log.scrollTop >= top);
		top = log.scrollTop;
	};
	jump.onclick = scroll;
	new ResizeObserver(() => follow()).observe(log);

	const server = connect({
		base,
		prefix,
		identity: async () => {
			const source = window.FrontdeskIdentity ?? data.identity;
			return typeof source === "function" ? source() : source;
		},
		listener: (type, ...facts) => on[type]?.(...facts),
	});
	banner.lastElementChild.onclick = () => server.again();
	notice.lastElementChild.onclick = () => (notice.hidden = true);

	const files = makeFiles({ $, t, icon, server, warn, changed: () => drawComposer() });
	const rows = makeRows({
		t, list, template: $.row.content.firstElementChild, language, icon, name, file: files.show,
		changed: arrange,
		send(frame) {
			server.send(frame);
			settle();
		},
		retry(message) {
			rest();
			server.retry(message);
		},
		edit({ id, text, attachments }) {
			server.forget(id);
			rows.remove(id);
			input.value = text;
			files.set(attachments);
			input.focus();
		},
		cite({ id, title, url }) {
			cited = id;
			$.source.textContent = clean(title);
			$.passage.replaceChildren();
			$.page.href = safeUrl(url) || "";
			$.page.hidden = !safeUrl(url);
			passage.showModal();
			server.send({ type: "passage", id });
		},
	});

	const on = {
		"+state"(state, detail) {
			clearTimeout(banner.timer);
			skin.dataset.state = state;
			if (state === "online") banner.hidden = true;
			if (state === "waiting") banner.timer = setTimeout(() => tell(banner, t("offline")), 800);
			if (state === "refused") tell(banner, clean(detail) || t("refused"));
		},
		"+reset"() {
			rows.drop(() => true);
			read = 0;
			from = undefined;
			survey.hidden = true;
			answers("agent");
		},
		"+pending": (message) => rows.pending(message),
		welcome(frame) {
			const first = !rows.last();
			const told = first ? null : announce;
			rows.drop(({ draft }) => draft);
			caseOpen = frame.case;
			from ??= +server.store.get("from");
			if (first) $.older.hidden = !frame.has_earlier;
			writing(false);
			queue.hidden = true;
			for (const message of frame.history) rows.show(message, told);
			answers(frame.owner, frame.owner_name, told);
			if (first) scroll();
		},
		ack({ id, message, seq }) {
			rows.acknowledge(id, message, seq);
			caseOpen = true;
			if (owner === "agent") writing(true);
		},
		typing: ({ name }) => writing(true, clean(name)),
		delta(frame) {
			writing(false);
			rows.delta(frame);
		},
		message(frame) {
			if (frame.author !== "user") writing(false);
			rows.show(frame, announce);
		},
		withdraw: ({ message }) => rows.withdraw(message),
		owner: (frame) => answers(frame.owner, frame.name, announce),
		queue({ position, wait_s }) {
			const said = t("place", { position }) + (wait_s ? " " + t("wait", { minutes: Math.ceil(wait_s / 60) }) : "");
			if (queue.place !== position) announce(said);
			Object.assign(queue, { textContent: said, hidden: false, place: position });
			follow();
		},
		passage({ id = cited, title, text }) {
			if (id !== cited) return;
			if (title) $.source.textContent = clean(title);
			render($.passage, text || t("gone"));
		},
		case({ id, state }) {
			if (state !== "ended") return;
			caseOpen = false;
			queue.hidden = true;
			writing(false);
			Object.assign(survey, { name: id, className: "survey", hidden: false });
			announce(t("solved"));
			follow();
		},
		error({ code, detail, id }) {
			if (code === "no_passage") on.passage({ text: detail });
			else if (!server.pending.has(id) && !/^bad_(token|identity|version)$/.test(code)) warn(detail);
		},
	};

	const say = (said, attachments = []) => {
		if (starting && !survey.hidden) clear();
		survey.hidden = notice.hidden = true;
		server.say(said, attachments);
		scroll();
	};
	const clear = () => {
		starting = false;
		survey.hidden = true;
		from = rows.last();
		if (server.used) server.store?.set("from", from);
		arrange();
	};
	const acts = {
		fresh() {
			starting = caseOpen;
			if (!caseOpen) clear();
			acts.end();
		},
		end: () => caseOpen && server.send({ type: "end" }),
		human: () => say(t("humanText")),
		known: () => say(t("known")),
		download: () => h("a", { href: URL.createObjectURL(new Blob([rows.transcript()])), download: "chat.txt" }).click(),
	};
	survey.onclick = ({ target: { name: value } }) => {
		if (!value) return;
		server.send({ type: "feedback", case: survey.name, value });
		survey.classList.add("done");
		if (starting) clear();
		rest();
	};
	menu.onclick = ({ target }) => {
		if (!acts[target.name]) return;
		menu.open = false;
		rest();
		acts[target.name]();
	};
	$.earlier.onclick = () => {
		from = 0;
		rest();
		arrange();
	};

	$.form.onsubmit = (event) => {
		event.preventDefault();
		if ($.go.disabled) return;
		const said = input.value.trim();
		const attached = files.chosen();
		input.value = "";
		files.set([]);
		say(said, attached);
	};
	input.onkeydown = (event) => {
		if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
		event.preventDefault();
		$.form.requestSubmit();
	};
	input.oninput = () => {
		drawComposer();
		if (Date.now() - typed < TYPING_MS) return;
		typed = Date.now();
		server.send({ type: "typing" }, false);
	};
	const drawComposer = () => {
		input.style.height = 0;
		input.style.height = input.scrollHeight + "px";
		const left = LIMIT - (input.value.length > NEAR && [...input.value].length);
		$.count.hidden = left > LIMIT - NEAR;
		$.count.textContent = t(left < 0 ? "over" : "left", { count: Math.abs(left) });
		$.count.classList.toggle("bad", left < 0);
		$.go.disabled = !files.ready() || !(input.value.trim() || files.chosen().length);
	};

	const watch = () => server.state === "idle" && server.connect();
	const open = (quiet) => {
		if (panel.open) return;
		if (phone()) panel.showModal();
		else panel.open = true;
		launcher.ariaExpanded = true;
		watch();
		config ??= json(base + "widget.json").then((found) => {
			config = found;
			dress();
		}, () => {});
		arrange();
		scroll();
		if (!quiet) input.focus();
	};
	const close = () => {
		panel.close();
		launcher.ariaExpanded = false;
		seen();
		launcher.focus();
	};
	$.close.onclick = close;
	panel.onclick = ({ target }) => void (menu.contains(target) || (menu.open = false));
	panel.onkeydown = (event) => {
		if (event.key !== "Escape" || passage.open) return;
		event.stopPropagation();
		event.preventDefault();
		if (!menu.open) return close();
		menu.open = false;
		menu.firstElementChild.focus();
	};
	document.addEventListener("visibilitychange", seen);
	addEventListener("storage", seen);
	visualViewport.addEventListener("resize", () => (panel.style.height = phone() ? visualViewport.height + "px" : "")); // beside an open keyboard
	dark.addEventListener("change", dress);
	setInterval(() => panel.open && rows.age(), 30000);
	dress();
	seen();
	return { open, close, watch, toggle: () => (panel.open ? close() : open()) };
};
