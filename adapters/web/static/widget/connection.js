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

export class Connection {
	state = "idle";
	pending = new Map();
	#later = [];
	#attempt = 0;
	#after;
	#round = 0; // of the connection that counts; what belongs to an earlier one is ignored

	/** `listener` has `state(state, detail)`, `frame(frame)`, `pending(message)` and `reset()`. */
	constructor({ base, prefix, identity, listener }) {
		Object.assign(this, { base, prefix, identity, listener });
		addEventListener("online", () => this.again());
		addEventListener("offline", () => this.state === "online" && this.#lost());
		document.addEventListener("visibilitychange", () => document.hidden || this.again());
		addEventListener("storage", ({ key, newValue }) => {
			if (key !== this.store?.prefix + "token" || !newValue || this.signed || this.used) return;
			this.#reset(); // another page of this visitor has spoken first: join it
			this.token = newValue;
			this.used = true;
			this.#lost();
		});
	}

	/** Connects at once where a wait is under way. */
	again() {
		if (this.state === "waiting") this.connect();
	}

	async connect() {
		const round = ++this.#round;
		const current = () => round === this.#round;
		clearTimeout(this.timer);
		this.#become("connecting");
		try {
			const identity = await this.identity();
			if (!current()) return;
			this.#scope(identity);
			const socket = (this.socket = new WebSocket(this.base.replace("http", "ws") + "ws"));
			const token = this.token || undefined;
			socket.onopen = () => socket.send(JSON.stringify({ type: "hello", version: 1, after: this.#after, ...(identity ? { identity } : { token }) }));
			socket.onmessage = ({ data }) => current() && this.#receive(parsed(data) || {});
			socket.onclose = ({ code }) => current() && this.#lost(code);
		} catch {
			if (current()) this.#lost();
		}
	}

	/** What the person says; it is sent until the server acknowledges it. */
	say(text, attachments) {
		const message = { id: uuid(), text, attachments, at_ms: Date.now() };
		this.used = true;
		this.#remember();
		this.retry(message);
		return message;
	}

	retry(message) {
		message.error = "";
		this.pending.set(message.id, message);
		this.#keep(message);
		this.#transmit(message);
		this.again();
	}

	forget(id) {
		this.pending.delete(id);
		this.store.remove("out:" + id);
	}

	/** Any other frame: it waits for the session, or without `must` is dropped when there is none. */
	send(frame, must = true) {
		if (this.state === "online") this.socket.send(JSON.stringify(frame));
		else if (must) this.#later.push(frame);
	}

	upload(file) {
		const headers = { "X-File-Name": encodeURIComponent(file.name) };
		return this.#file("upload", { method: "POST", body: file, headers }).then((answer) => answer.json());
	}

	blob(id) {
		return this.#file("upload/" + encodeURIComponent(id)).then((answer) => answer.blob());
	}

	#file(path, request) {
		return fetched(this.base + path, { ...request, headers: { ...request?.headers, Authorization: "Bearer " + this.token } });
	}

	// What is stored belongs to one signed-in user or to nobody in particular; another user starts afresh.
	#scope(identity) {
		const prefix = this.prefix + (identity ? parsed(atob(identity.split(".")[1]?.replace(/-/g, "+").replace(/_/g, "/") || ""))?.sub + ":" : "");
		if (prefix === this.store?.prefix) return;
		if (this.store) {
			this.pending.clear();
			this.used = false;
			this.#reset();
		}
		this.store = storage(prefix);
		this.signed = !!identity;
		this.token = this.store.get("token");
		this.used ||= !!this.store.get("used");
		for (const message of this.pending.values()) this.#keep(message);
		for (const message of this.store.waiting().sort((a, b) => a.at_ms - b.at_ms)) {
			this.pending.set(message.id, message);
			this.listener.pending(message);
		}
	}

	#receive(frame) {
		const { type, id, code, detail, retry_after_s = 2 } = frame;
		const message = this.pending.get(id);
		if (type === "welcome") this.#welcome(frame);
		if (type === "ack") this.forget(id);
		if (code === "bad_token") {
			this.store.remove("token");
			this.token = "";
			this.#reset();
		}
		if (code === "bad_identity" || code === "bad_version") this.#refuse(detail);
		if (type === "error" && message) {
			if (code === "busy" || code === "too_fast") setTimeout(() => this.#transmit(message), retry_after_s * 1000);
			else this.#fail(message, detail);
		}
		this.listener.frame(frame);
		const seqs = (type === "welcome" ? frame.history : type === "message" ? [frame] : []).map(({ seq }) => seq);
		if (!seqs.length) return;
		this.#after = Math.max(this.#after || 0, ...seqs);
		this.send({ type: "received", seq: this.#after }, false);
	}

	#welcome({ token, conversation }) {
		if (this.conversation && this.conversation !== conversation) this.#reset();
		this.conversation = conversation;
		this.token = token;
		if (this.used) this.#remember();
		this.#attempt = 0;
		this.#become("online");
		for (const message of this.pending.values()) if (!message.error) this.#transmit(message);
		for (const frame of this.#later.splice(0)) this.send(frame);
	}

	#remember() {
		this.store?.set("used", 1);
		if (!this.store) return;
		storage(this.prefix).set("used", 1);
		if (this.token && !this.signed) this.store.set("token", this.token);
	}

	#keep(message) {
		this.store?.set("out:" + message.id, JSON.stringify(message));
	}

	#transmit(message) {
		const { id, text, attachments } = message;
		if (this.state !== "online" || !this.pending.has(id)) return;
		this.send({ type: "message", id, text, ...(attachments.length && { attachments: attachments.map((file) => file.id) }) });
		const round = this.#round;
		setTimeout(() => {
			if (round === this.#round && this.pending.has(id) && !message.error) this.#lost(); // a dead connection does not say so
		}, ACK_MS);
	}

	#fail(message, detail) {
		message.error = detail || " ";
		this.#keep(message);
		this.listener.pending(message);
	}

	#reset() {
		this.#after = this.conversation = undefined;
		this.listener.reset();
		for (const message of this.pending.values()) this.listener.pending(message);
	}

	#refuse(detail) {
		this.#round++;
		this.socket.close();
		this.#become("refused", detail);
	}

	#lost(code) {
		if (code === 4400) return this.#refuse();
		this.#round++;
		this.socket?.close();
		if (code === 1009) for (const message of this.pending.values()) this.#fail(message); // too large for a frame
		if (code === 1001) this.#attempt = 1; // a restart: back soon, but not all at once
		if (code === 1013) this.#attempt = Math.max(this.#attempt, 4);
		const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.#attempt++);
		this.timer = setTimeout(() => this.connect(), 50 + Math.random() * most);
		this.#become("waiting");
	}

	#become(state, detail) {
		this.state = state;
		this.listener.state(state, detail);
	}
}
