// What the page knows, and who wants to hear of it. Modules change it through these functions alone.
import { now } from "./words.js";

export const AWAITING = new Set(["requested", "queued", "offered", "off hours"]);
export const HELD = new Set(["active", "waiting", "snoozed"]);

export const state = {
	me: null, // as GET me gives it
	rows: new Map(), // conversation id -> row, of the filter and of what is open
	open: null, // the conversation one looks at
	isOnline: false,
	live: null,
};

const listeners = new Map();
export const on = (what, act) => listeners.set(what, [...(listeners.get(what) ?? []), act]);
export const happened = (what, detail) => {
	for (const act of listeners.get(what) ?? []) act(detail);
};

export const may = (right) => state.me?.operator.rights.includes(right) ?? false;
export const isMe = (who) => Boolean(who) && [state.me.operator.id, state.me.operator.name].includes(who);
export const isEnded = (row) => !row.is_open;
export const isMine = (row) => Boolean(row.operator && isMe(row.operator.id));

export const belongs = (row, filter) => {
	if (filter === "ended") return isEnded(row);
	if (filter === "mine") return isMe(row.offered_to) || (isMine(row) && (HELD.has(row.stage) || row.stage === "wrap-up"));
	if (filter === "waiting") return AWAITING.has(row.stage);
	return !isEnded(row);
};

// What breaks first: the nearest deadline, then priority, then who waits longest.
export const order = (filter) => (a, b) => {
	if (filter === "ended") return b.at_ms - a.at_ms || compare(a, b);
	const due = (row) => row.deadline?.due_ms ?? Infinity;
	const since = (row) => row.waiting_since_ms ?? Infinity;
	return difference(due(a), due(b)) || (b.priority ?? 0) - (a.priority ?? 0) || difference(since(a), since(b)) || b.at_ms - a.at_ms || compare(a, b);
};
const difference = (a, b) => (a === b ? 0 : a < b ? -1 : 1);
const compare = (a, b) => difference(a.conversation, b.conversation);

// Whoever has no name is told apart by the beginning of their id.
export const named = (row) => row.user?.name || (row.user?.identity ? `Visitor ${row.user.identity.slice(0, 6)}` : "Somebody");

// When free text to a WhatsApp user ends, or null where there is no such end.
export const windowEnd = ({ row }) => row.window_end_ms ?? null;
export const isWindowShut = ({ row }) => Boolean(row.window_end_ms) && row.window_end_ms <= now();
