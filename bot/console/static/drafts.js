// What is written and not sent yet, for each conversation and each mode. It survives a reload of this tab, and no longer.
import { uuid } from "./dom.js";
import { state } from "./state.js";

const place = (conversation) => `frontdesk:draft:${state.me.operator.id}:${conversation}`;
export const blank = () => ({ text: "", suggestion: "", files: [], key: uuid() });

export const read = (conversation) => {
	try {
		const kept = JSON.parse(sessionStorage.getItem(place(conversation)));
		if (kept?.reply && kept.note) return kept;
	} catch {
		// a browser that forbids it only forgets on reload
	}
	return { mode: "", reply: blank(), note: blank() };
};

export const write = (conversation, draft) => {
	try {
		if (draft.reply.text || draft.note.text || draft.reply.files.length || draft.note.files.length) sessionStorage.setItem(place(conversation), JSON.stringify(draft));
		else sessionStorage.removeItem(place(conversation));
	} catch {
		// as above
	}
};

export const forget = () => {
	try {
		for (const key of Object.keys(sessionStorage)) if (key.startsWith("frontdesk:draft:")) sessionStorage.removeItem(key);
	} catch {
		// as above
	}
};
