// A sound and a notification for what waits. Asked for by a button only; the text of a message never leaves the page.
import { recipient } from "./commands.js";
import { button, icon, tell } from "./dom.js";
import { AWAITING, isMine, state } from "./state.js";
import { oneLine } from "./text.js";

const KEY = "frontdesk:alerts";
let known = new Map(); // conversation -> [is waiting, at_ms]
let sound;

const stored = (value) => {
	try {
		if (value !== undefined) localStorage.setItem(KEY, value);
		return localStorage.getItem(KEY) === "on";
	} catch {
		return false;
	}
};

export const bell = button("icon bell", "Tell me about new cases", () => toggle(), icon("bell"));
const draw = () => bell.setAttribute("aria-pressed", String(stored()));
draw();

const toggle = async () => {
	if (stored()) stored("off");
	else {
		sound ??= new AudioContext();
		const answer = "Notification" in window ? await Notification.requestPermission() : "denied";
		stored("on");
		tell(answer === "granted" ? "You hear and see new cases." : "You hear new cases. The browser shows no notifications until you allow them for this page.");
		beep();
	}
	draw();
};

const beep = () => {
	if (!sound || sound.state !== "running") return;
	const tone = new OscillatorNode(sound, { frequency: 660 });
	const volume = new GainNode(sound, { gain: 0.06 });
	tone.connect(volume).connect(sound.destination);
	tone.start();
	tone.stop(sound.currentTime + 0.12);
};
// Browsers let a page make a sound only after somebody has touched it.
addEventListener("pointerdown", () => stored() && (sound ??= new AudioContext()), { passive: true });

// Learns what is there without a word.
export const learn = (rows) => {
	for (const row of rows) known.set(row.conversation, [AWAITING.has(row.stage), row.at_ms]);
};

export const noticed = (rows) => {
	for (const row of rows) {
		const [wasWaiting, at_ms] = known.get(row.conversation) ?? [false, 0];
		const isNewCase = AWAITING.has(row.stage) && !wasWaiting;
		const isMessage = isMine(row) && row.line_author === "user" && row.at_ms > at_ms;
		if ((isNewCase || isMessage) && stored()) alarm(row, isNewCase);
	}
	learn(rows);
};

const alarm = (row, isNewCase) => {
	if (!isSeen(row.conversation)) announce(isNewCase ? "A case waits" : "A new message", recipient(row), row.conversation);
};
const isSeen = (id) => document.hasFocus() && state.open?.id === id;

const announce = (title, body, id) => {
	beep();
	if (!("Notification" in window) || Notification.permission !== "granted") return;
	const note = new Notification(title, { body, tag: id });
	note.onclick = () => {
		focus();
		location.hash = `#/${encodeURIComponent(id)}`;
		note.close();
	};
};

// What this operator asked to be told of, or was named in: always a line on the page, and the rest where it was asked for.
const RANG = "frontdesk:notices";
export const rang = ({ id, conversation, text }) => {
	const before = rung();
	if (before.includes(id)) return;
	rungOf([...before, id].slice(-100));
	if (isSeen(conversation)) return;
	const row = state.rows.get(conversation);
	tell(row ? `${recipient(row)}: ${text}` : text);
	if (stored()) announce(oneLine(text, 80), row ? recipient(row) : "", conversation);
};
let heard = []; // where the browser keeps nothing
const rung = () => {
	try {
		return JSON.parse(sessionStorage.getItem(RANG) ?? "[]");
	} catch {
		return heard;
	}
};
const rungOf = (ids) => {
	heard = ids;
	try {
		sessionStorage.setItem(RANG, JSON.stringify(ids));
	} catch {
		// as above
	}
};
