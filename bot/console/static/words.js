// Times and states as words.
import { h, ticking } from "./dom.js";

let skew_ms = 0;
export const setClock = (now_ms) => {
	skew_ms = now_ms ? now_ms - Date.now() : 0;
};
export const now = () => Date.now() + skew_ms;

export const CHANNELS = { web: "web chat", slack: "Slack", discord: "Discord", whatsapp: "WhatsApp", telegram: "Telegram" };
export const channel = (name) => CHANNELS[name] ?? name;

// "35 s", "4 min", "2 h 10 min", "3 d".
export const span = (ms) => {
	const s = Math.max(0, Math.floor(ms / 1000));
	if (s < 60) return `${s} s`;
	const min = Math.floor(s / 60);
	if (min < 60) return `${min} min`;
	const hours = Math.floor(min / 60);
	if (hours < 24) return min % 60 ? `${hours} h ${min % 60} min` : `${hours} h`;
	return `${Math.floor(hours / 24)} d`;
};

// The last minutes are counted in seconds.
const countdown = (ms) => {
	const s = Math.max(0, Math.floor(ms / 1000));
	return s < 600 ? `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}` : span(ms);
};

export const exact = (ms) => new Date(ms).toLocaleString(undefined, { dateStyle: "full", timeStyle: "medium" });
export const clock = (ms) => {
	const date = new Date(ms);
	const today = new Date(now()).toDateString() === date.toDateString();
	return date.toLocaleString(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
};
export const ago = (ms) => (now() - ms < 10_000 ? "now" : `${span(now() - ms)} ago`);

export const time = (ms, words = ago) => {
	const node = ticking(() => words(ms), { title: exact(ms) });
	return h("time", { datetime: new Date(ms).toISOString() }, node);
};

const KINDS = {
	"first reply": "First reply",
	"next reply": "Reply",
	resolve: "Solved",
	operator: "Sign of work",
	queue: "Waiting ends",
	user: "Ends without an answer",
	snooze: "Back",
	opening: "Opens",
	offer: "Offer ends",
	"wrap-up": "Wrap-up ends",
	window: "WhatsApp window shuts",
};
export const kindOf = (kind) => KINDS[kind] ?? kind;

export const deadlineWords = ({ kind, due_ms, is_missed }) => {
	const left = due_ms - now();
	if (kind === "window" && left <= 0) return "WhatsApp window is shut";
	if (is_missed || left <= 0) return `${kindOf(kind)} overdue ${span(-left)}`;
	return `${kindOf(kind)} in ${countdown(left)}`;
};

export const urgency = (deadline) => {
	if (!deadline) return "";
	const left = deadline.due_ms - now();
	if (deadline.is_missed || left <= 0) return "late";
	return left < 120_000 ? "soon" : "";
};

export const PRIORITIES = { "-1": "low", 0: "", 1: "high", 2: "urgent" };

export const DELIVERY = {
	planned: ["clock", "Waiting to be sent"],
	sending: ["clock", "Sending"],
	sent: ["check", "Sent"],
	delivered: ["checks", "Delivered"],
	read: ["checks", "Read"],
	failed: ["warn", "Not delivered"],
	held: ["clock", "Held back"],
	unknown: ["warn", "Not known whether it arrived"],
};

const STAGES = {
	"": "With the agent",
	requested: "A person was asked for",
	"off hours": "Waits for opening time",
	queued: "Waiting for a person",
	offered: "Offered",
	active: "With a person",
	waiting: "Waiting for the user",
	snoozed: "Put off",
	"wrap-up": "Wrap-up",
	returned: "Returned to the agent",
	resolved: "Solved",
	abandoned: "The user left",
	"timed out": "Nobody came in time",
};
export const stage = (name) => STAGES[name ?? ""] ?? name;

export const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${Math.round(bytes / 1024)} kB` : `${(bytes / 1048576).toFixed(1)} MB`);
export const initials = (name) => [...String(name || "?").trim()][0]?.toUpperCase() ?? "?";

// What happened to a handoff, as one line: by whom, and with what.
const HAPPENED = {
	requested: () => "A person was asked for",
	queue: () => "Waits for a person",
	close: () => "Waits for the opening hours",
	open: () => "Opening time: waits for a person",
	offer: () => "Was offered to somebody",
	decline: (who) => `${who} declined`,
	expire: () => "The offer ran out",
	claim: (who) => `${who} took it`,
	reply: (who) => `${who} replied`,
	user_wrote: () => "The user wrote",
	snooze: (who) => `${who} put it off`,
	wake: () => "Is active again",
	hand_on: (who) => `${who} offered it to somebody else`,
	release: (who) => `${who} gave it back to the queue`,
	operator_silent: () => "Nobody wrote for too long: back in the queue",
	return: (who) => `${who} returned it to the agent`,
	resolve: (who) => `${who} resolved it`,
	done: () => "Done",
	cancel: () => "The user did not want to wait any longer",
	user_left: () => "The user ended the case",
	queue_timeout: () => "Nobody came in time",
	user_silent: () => "The user was silent for too long",
	forgotten: () => "The user asked to be forgotten",
};
const BARE = new Set(["requested", "offer", "hand_on"]); // whose detail is an id or a word of ours
export const happenedWords = (entry, who) => {
	const words = HAPPENED[entry.what]?.(who) ?? `${who}: ${entry.what}`;
	return entry.detail && !BARE.has(entry.what) ? `${words} – ${entry.detail}` : words;
};
