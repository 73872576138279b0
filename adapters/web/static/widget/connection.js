// The chat socket: opens the session, resumes after `after`, and keeps what the person said until the server has it.

const ACK_S = 15;
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 30000;
const REFUSED = { bad_identity: 1, bad_version: 1 };
const FAILED = { too_long: 1, empty: 1, no_blob: 1, bad_frame: 1 };
const LATER = { too_fast: 1, busy: 1 };

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
		all: (start) =>
			attempt((store) =>
				Object.keys(store)
					.filter((key) => key.startsWith(prefix + start))
					.map((key) => store.getItem(key)),
			) || [],
	};
};

const uuid = () => {
	if (crypto.randomUUID) return crypto.randomUUID();
	const bytes = crypto.getRandomValues(new Uint8Array(16)); // a page without TLS has no randomUUID
	bytes[6] = (bytes[6] & 15) | 64;
	bytes[8] = (bytes[8] & 63) | 128;
	const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
	return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
};

const parsed = (text) => {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
};

const subject = (jwt) => {
	try {
		return JSON.parse(atob(jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).sub;
	} catch {
		return "?";
	}
};

export class Connection {
	state = "idle";
	pending = new Map();
	#later = [];
	#attempt = 0;
	#after;
	#round = 0;

	/** `listener` has `state(state, detail)`, `frame(frame)`, `reset()` and `pending(message)`. */
	constructor({ base, prefix, identity, listener }) {
		Object.assign(this, { base, prefix, identity, listener });
		addEventListener("online", () => this.again());
		addEventListener("offline", () => this.state === "online" && this.#lost(this.#round));
		document.addEventListener("visibilitychange", () => document.hidden || this.again());
		addEventListener("storage", ({ key, newValue }) => this.#shared(key, newValue));
	}

	/** Connects at once where a wait is under way. */
	again() {
		if (this.state === "waiting") this.connect();
	}

	async connect() {
		const round = ++this.#round;
		clearTimeout(this.timer);
		this.#become("connecting");
		try {
			const identity = await this.identity();
			if (round !== this.#round) return;
			this.#scope(identity);
			const socket = (this.socket = new WebSocket(this.base.replace(/^http/, "ws") + "ws"));
			socket.onopen = () => {
				const hello = { type: "hello", version: 1, after: this.#after };
				if (identity) hello.identity = identity;
				else if (this.token) hello.token = this.token;
				socket.send(JSON.stringify(hello));
			};
			socket.onmessage = ({ data }) => {
				const frame = parsed(data);
				if (round === this.#round && frame) this.#receive(frame);
			};
			socket.onclose = ({ code }) => this.#lost(round, code);
		} catch {
			this.#lost(round);
		}
	}

	/** What the person says: kept here and in the browser until the server has stored it. */
	say(text, attachments = []) {
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

	/** Any other frame; waits for the session where `must` is set, and is dropped without one otherwise. */
	send(frame, must = true) {
		if (this.state === "online") this.socket.send(JSON.stringify(frame));
		else if (must) this.#later.push(frame);
	}

	async upload(file) {
		const headers = { "X-File-Name": encodeURIComponent(file.name || "file") };
		return (await this.#fetch("upload", { method: "POST", body: file, headers })).json();
	}

	async blob(id) {
		return (await this.#fetch("upload/" + encodeURIComponent(id), { headers: {} })).blob();
	}

	async #fetch(path, request) {
		request.headers.Authorization = "Bearer " + this.token;
		const response = await fetch(this.base + path, { ...request, credentials: "omit" });
		if (response.ok) return response;
		throw parsed(await response.text()) || response;
	}

	/** What is stored belongs to one signed-in user, or to nobody in particular; a change of user starts afresh. */
	#scope(identity) {
		const prefix = this.prefix + (identity ? "user:" + subject(identity) + ":" : "");
		if (prefix === this.store?.prefix) return;
		if (this.store) {
			this.pending.clear();
			this.used = false;
			this.#reset();
		}
		this.store = storage(prefix);
		this.signed = !!identity;
		this.token = identity ? null : this.store.get("token");
		this.used ||= !!this.store.get("used");
		for (const message of this.pending.values()) this.#keep(message);
		const kept = this.store.all("out:").map(parsed).filter(Boolean);
		for (const message of kept.sort((a, b) => a.at_ms - b.at_ms)) {
			this.pending.set(message.id, message);
			this.listener.pending(message);
		}
	}

	#shared(key, value) {
		if (!this.store || key !== this.store.prefix + "token" || !value || this.signed || this.used || value === this.token) return;
		this.#reset(); // another page of this visitor has spoken first: join it
		this.token = value;
		this.used = true;
		this.socket?.close();
		this.connect();
	}

	#receive(frame) {
		const { type, id, code } = frame;
		if (type === "welcome") this.#welcome(frame);
		else if (type === "ack") this.forget(id);
		else if (type === "error") {
			const message = this.pending.get(id);
			if (code === "bad_token") {
				this.token = null;
				this.store.remove("token");
				this.#reset();
			} else if (REFUSED[code]) this.#refuse(frame.detail);
			else if (message && FAILED[code]) this.#fail(message, frame.detail);
			else if (message && LATER[code]) setTimeout(() => this.#transmit(message), (frame.retry_after_s || 2) * 1000);
		}
		this.listener.frame(frame);
		const items = type === "welcome" ? frame.history || [] : type === "message" ? [frame] : [];
		if (!items.length) return;
		this.#after = items.reduce((seq, item) => Math.max(seq, item.seq), this.#after || 0);
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
		this.store?.set("used", "1");
		if (this.token && !this.signed) this.store.set("token", this.token);
		if (this.store) storage(this.prefix).set("used", "1");
	}

	#keep(message) {
		this.store?.set("out:" + message.id, JSON.stringify(message));
	}

	#transmit(message) {
		if (this.state !== "online" || !this.pending.has(message.id)) return;
		const { id, text, attachments } = message;
		const frame = { type: "message", id, text };
		if (attachments.length) frame.attachments = attachments.map((file) => file.id);
		this.send(frame);
		const round = this.#round;
		setTimeout(() => {
			const waits = this.pending.has(id) && !message.error;
			if (round === this.#round && waits && this.state === "online") this.#lost(round); // a dead connection tells nobody
		}, ACK_S * 1000);
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

	#lost(round, code) {
		if (round !== this.#round) return;
		this.#round++;
		this.socket?.close();
		if (code === 1009) for (const message of this.pending.values()) if (!message.error) this.#fail(message);
		if (code === 4400) return this.#become("refused");
		if (code === 1013) this.#attempt = Math.max(this.#attempt, 4);
		if (code === 1001) this.#attempt = Math.min(this.#attempt, 1);
		const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.#attempt++);
		this.#become("waiting");
		this.timer = setTimeout(() => this.connect(), 50 + Math.random() * most);
	}

	#become(state, detail) {
		this.state = state;
		this.listener.state(state, detail);
	}
}
