// Pages beside the inbox: `#/~NAME` or `#/~NAME/WHAT`. Each registers itself; the bar shows those that one may open.
import { h } from "./dom.js";
import { may } from "./state.js";

const places = new Map();
let current = "";

// `open(what)` is called whenever one comes to the page, `shut()` when one leaves it. `label`: its name in the bar, "" for none.
export const addPage = (name, { label, right, node, open, shut = () => {} }) => {
	places.set(name, { label, right, node, open, shut });
};

// Holds the page one is on: the others are not in the document.
export const pages = h("div", { class: "pages" });

// The page and what of it, of an address such as `#/~knowledge`; null where it is none that one may see.
export const pageOf = (hash) => {
	const found = /^#\/~([a-z-]+)(?:\/([^/]+))?$/.exec(hash);
	const place = found && places.get(found[1]);
	return place && may(place.right) ? { name: found[1], what: found[2] ?? "" } : null;
};

export const showPage = (wanted) => {
	if (current && current !== wanted?.name) {
		places.get(current).node.remove();
		places.get(current).shut();
	}
	current = wanted?.name ?? "";
	if (!wanted) return;
	pages.replaceChildren(places.get(current).node);
	places.get(current).open(wanted.what);
};

// Links of the bar, the one of where one is marked.
export const pageLinks = () => {
	const named = [...places].filter(([, each]) => each.label && may(each.right));
	const link = (href, label, isHere) => h("a", { href, "aria-current": isHere ? "page" : null }, label);
	return named.length ? [link("#/", "Inbox", !current), ...named.map(([name, each]) => link(`#/~${name}`, each.label, current === name))] : [];
};
