// Files, chosen and shown.
import { button, h } from "./dom.js";
import { clean } from "./markdown.js";

const MOST = 5;
const IMAGE = /^image\/(png|jpeg|gif|webp)$/;

export const makeFiles = ({ $, t, icon, server, warn, changed }) => {
	const blobs = new Map();
	const { panel, over, input } = $;
	let chosen = [];

	// A thumbnail or a chip. A file is only saved, never opened: the host page must not run what somebody sent.
	const show = ({ id, name, media_type: type, size_bytes: size }) => {
		name = clean(name);
		const image = IMAGE.test(type);
		const amount = size < 1e6 ? Math.ceil(size / 1e3) + " KB" : (size / 1e6).toFixed(1) + " MB";
		const link = h("a", { class: "file", download: name, title: name }, icon("file"), h("span", { dir: "auto" }, name, h("small", {}, amount)));
		if (!blobs.has(id)) blobs.set(id, server.blob(id));
		blobs.get(id).then((blob) => {
			link.href = URL.createObjectURL(new Blob([blob], { type: image ? type : "application/octet-stream" }));
			if (image) link.prepend(h("img", { alt: name, onerror() { this.remove(); }, src: link.href }));
		}, () => blobs.delete(id));
		return link;
	};

	const set = (list) => {
		chosen = list;
		$.tray.replaceChildren(...chosen.map((entry) => {
			const node = entry.id ? show(entry) : h("span", { class: "file" }, icon("sending"), t("uploading"));
			node.append(button("off", t("remove", { name: clean(entry.name) }), (event) => {
				event.preventDefault();
				drop(entry);
				input.focus();
			}, icon("close")));
			return node;
		}));
		changed();
	};
	const drop = (entry) => set(chosen.filter((other) => other !== entry));

	const add = (list) => {
		if (chosen.length + list.length > MOST) warn(t("files"));
		for (const file of [...list].slice(0, MOST - chosen.length)) {
			const entry = { name: file.name };
			chosen.push(entry);
			server.upload(file).then((stored) => {
				blobs.set(stored.id, Promise.resolve(file));
				Object.assign(entry, stored);
				set(chosen);
			}, ({ detail }) => {
				warn(detail || t("uploadFailed", { name: clean(file.name) }));
				drop(entry);
			});
		}
		set(chosen);
	};

	$.attach.onclick = () => $.picker.click();
	$.picker.onchange = ({ target }) => {
		add([...target.files]);
		target.value = "";
	};
	input.onpaste = (event) => {
		if (!event.clipboardData.files.length) return;
		event.preventDefault();
		add(event.clipboardData.files);
	};
	panel.ondragover = (event) => {
		if (!event.dataTransfer.types.includes("Files")) return;
		event.preventDefault();
		over.hidden = false;
	};
	panel.ondragleave = ({ relatedTarget }) => (over.hidden = !panel.contains(relatedTarget));
	panel.ondrop = (event) => {
		event.preventDefault();
		over.hidden = true;
		add(event.dataTransfer.files);
	};

	return {
		show,
		chosen: () => chosen,
		ready: () => chosen.every(({ id }) => id),
		set,
	};
};
