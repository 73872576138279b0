// The chat socket: opens the session, resumes it after `after`, and keeps what the person said until the server has stored it.
import { fetched } from "./dom.js";

const ACK_MS = 15000;
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 30000;

/** localStorage under one prefix; a browser that forbids it only forgets on reload. */
const storage = (prefix) => {
	const attempt = (act) => {
		try {
			return act(localStorage);
		} catch {
			return null;
		}
	};
	return {
		prefix,
		get: (key) => attempt((store) => store.getItem(prefix + key)),
		set: (key, value) => attempt((store) => store.setItem(prefix + key, value)),
		remove: (key) => attempt((store) => store.removeItem(prefix + key)),
		waiting: () => attempt((store) => Object.keys(store).filter((key) => key.startsWith(prefix + "out:")).map((key) => parsed(store[key]))) || [],
	};
};

const parsed = (text) => {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
};

// A page without TLS has no crypto.randomUUID.
const uuid = () => "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) => (c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (c / 4)))).toString(16));

/** `listener` has `state(state, detail)`, `frame(frame)`, `pending(message)` and `reset()`. */
export const connect = ({ base, prefix, identity, listener }) => {
	const pending = new Map();
	const later = [];
	let attempt = 0;
	let round = 0; // of the connection that counts; what an earlier one reports is ignored
	let after, timer, socket, token, signed, conversation;


	/** Connects at once where a wait is under way. */
	const again = () => {
		if (self.state === "waiting") begin();
	};

	const begin = async () => {
		const round = ++round;
		const current = () => round === round;
		clearTimeout(timer);
		become("connecting");
		try {
			const identity = await identity();
			if (!current()) return;
			scope(identity);
			const socket = (socket = new WebSocket(base.replace("http", "ws") + "ws"));
			const token = token || undefined;
			socket.onopen = () => socket.send(JSON.stringify({ type: "hello", version: 1, after: after, ...(identity ? { identity } : { token }) }));
			socket.onmessage = ({ data }) => current() && receive(parsed(data) || {});
			socket.onclose = ({ code }) => current() && lost(code);
		} catch {
			if (current()) lost();
		}
	};

	/** What the person says; it is sent until the server acknowledges it. */
	const say = (text, attachments) => {
		const message = { id: uuid(), text, attachments, at_ms: Date.now() };
		self.used = true;
		remember();
		retry(message);
		return message;
	};

	const retry = (message) => {
		message.error = "";
		pending.set(message.id, message);
		keep(message);
		transmit(message);
		again();
	};

	const forget = (id) => {
		pending.delete(id);
		self.store.remove("out:" + id);
	};

	/** Any other frame: it waits for the session, or without `must` is dropped when there is none. */
	const send = (frame, must = true) => {
		if (self.state === "online") socket.send(JSON.stringify(frame));
		else if (must) later.push(frame);
	};

	const upload = (file) => {
		const headers = { "X-File-Name": encodeURIComponent(file.name) };
		return file("upload", { method: "POST", body: file, headers }).then((answer) => answer.json());
	};

	const blob = (id) => {
		return file("upload/" + encodeURIComponent(id)).then((answer) => answer.blob());
	};

	const file = (path, request) => {
		return fetched(base + path, { ...request, headers: { ...request?.headers, Authorization: "Bearer " + token } });
	};

	// What is stored belongs to one signed-in user or to nobody in particular; another user starts afresh.
	const scope = (identity) => {
		const prefix = prefix + (identity ? parsed(atob(identity.split(".")[1]?.replace(/-/g, "+").replace(/_/g, "/") || ""))?.sub + ":" : "");
		if (prefix === self.store?.prefix) return;
		if (self.store) {
			pending.clear();
			self.used = false;
			reset();
		}
		self.store = storage(prefix);
		signed = !!identity;
		token = self.store.get("token");
		self.used ||= !!self.store.get("used");
		for (const message of pending.values()) keep(message);
		for (const message of self.store.waiting().sort((a, b) => a.at_ms - b.at_ms)) {
			pending.set(message.id, message);
			listener.pending(message);
		}
	};

	const receive = (frame) => {
		const { type, id, code, detail, retry_after_s = 2 } = frame;
		const message = pending.get(id);
		if (type === "welcome") welcome(frame);
		if (type === "ack") forget(id);
		if (code === "bad_token") {
			self.store.remove("token");
			token = "";
			reset();
		}
		if (code === "bad_identity" || code === "bad_version") refuse(detail);
		if (type === "error" && message) {
			if (code === "busy" || code === "too_fast") setTimeout(() => transmit(message), retry_after_s * 1000);
			else fail(message, detail);
		}
		listener.frame(frame);
		const seqs = (type === "welcome" ? frame.history : type === "message" ? [frame] : []).map(({ seq }) => seq);
		if (!seqs.length) return;
		after = Math.max(after || 0, ...seqs);
		send({ type: "received", seq: after }, false);
	};

	const welcome = ({ token, conversation }) => {
		if (conversation && conversation !== conversation) reset();
		conversation = conversation;
		token = token;
		if (self.used) remember();
		attempt = 0;
		become("online");
		for (const message of pending.values()) if (!message.error) transmit(message);
		for (const frame of later.splice(0)) send(frame);
	};

	const remember = () => {
		self.store?.set("used", 1);
		if (!self.store) return;
		storage(prefix).set("used", 1);
		if (token && !signed) self.store.set("token", token);
	};

	const keep = (message) => {
		self.store?.set("out:" + message.id, JSON.stringify(message));
	};

	const transmit = (message) => {
		const { id, text, attachments } = message;
		if (self.state !== "online" || !pending.has(id)) return;
		send({ type: "message", id, text, ...(attachments.length && { attachments: attachments.map((file) => file.id) }) });
		const round = round;
		setTimeout(() => {
			if (round === round && pending.has(id) && !message.error) lost(); // a dead connection does not say so
		}, ACK_MS);
	};

	const fail = (message, detail) => {
		message.error = detail || " ";
		keep(message);
		listener.pending(message);
	};

	const reset = () => {
		after = conversation = undefined;
		listener.reset();
		for (const message of pending.values()) listener.pending(message);
	};

	const refuse = (detail) => {
		round++;
		socket.close();
		become("refused", detail);
	};

	const lost = (code) => {
		if (code === 4400) return refuse();
		round++;
		socket?.close();
		if (code === 1009) for (const message of pending.values()) fail(message); // too large for a frame
		if (code === 1001) attempt = 1; // a restart: back soon, but not all at once
		if (code === 1013) attempt = Math.max(attempt, 4);
		const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempt++);
		timer = setTimeout(() => begin(), 50 + Math.random() * most);
		become("waiting");
	};

	const become = (state, detail) => {
		self.state = state;
		listener.state(state, detail);
	};

	const self = { state: "idle", pending, connect: begin, again, say, retry, forget, send, upload, blob };
	addEventListener("online", () => again());
	addEventListener("offline", () => self.state === "online" && lost());
	document.addEventListener("visibilitychange", () => document.hidden || again());
	addEventListener("storage", ({ key, newValue }) => {
		if (key !== self.store?.prefix + "token" || !newValue || signed || self.used) return;
		reset(); // another page of this visitor has spoken first: join it
		token = newValue;
		self.used = true;
		lost();
	});
	return self;
};
