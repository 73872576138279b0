// The chat socket. What the person says is kept here until the server has stored it.
import { fetched } from "./dom.js";

const ACK_MS = 15000;
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 30000;

// localStorage under one prefix; a browser that forbids it only forgets on reload.
const storage = (prefix) => ({
	prefix,
	get: (key) => attempt(() => localStorage.getItem(prefix + key)),
	set: (key, value) => attempt(() => localStorage.setItem(prefix + key, value)),
	remove: (key) => attempt(() => localStorage.removeItem(prefix + key)),
	waiting: () => attempt(() => Object.entries(localStorage).filter(([key]) => key.startsWith(prefix + "out:")).map(([, text]) => parsed(text))) || [],
});

const parsed = (text) => attempt(() => JSON.parse(text));

const attempt = (act) => {
	try {
		return act();
	} catch {
		return null;
	}
};

// A blob's URL ends in one; without TLS there is no crypto.randomUUID.
const uuid = () => URL.createObjectURL(new Blob()).slice(-36);

export const connect = ({ base, prefix, identity, listener }) => {
	const pending = new Map();
	const later = [];
	let attempt = 0;
	let round = 0; // of the connection that counts
	let after, timer, socket, token, signed, conversation;

	const become = (state, detail) => {
		self.state = state;
		listener("+state", state, detail);
	};

	const begin = async () => {
		const own = ++round;
		clearTimeout(timer);
		become("connecting");
		try {
			const who = await identity();
			if (own !== round) return;
			scope(who);
			socket = new WebSocket(base.replace("http", "ws") + "ws");
			const credential = who ? { identity: who } : token && { token };
			socket.onopen = ({ target }) => target.send(JSON.stringify({ type: "hello", version: 1, after, ...credential }));
			socket.onmessage = ({ data }) => own === round && receive(parsed(data) || {});
			socket.onclose = ({ code }) => own === round && lost(code);
		} catch {
			if (own === round) lost();
		}
	};

	const lost = (code) => {
		if (code === 4400) return refuse();
		round++;
		socket?.close();
		if (code === 1009) pending.forEach((message) => fail(message)); // too large
		if (code === 1001) attempt = 1; // a restart: soon, but not all at once
		if (code === 1013) attempt = Math.max(attempt, 4);
		timer = setTimeout(begin, 50 + Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempt++));
		become("waiting");
	};

	const refuse = (detail) => {
		round++;
		socket.close();
		become("refused", detail);
	};

	const reset = () => {
		after = conversation = undefined;
		listener("+reset");
		pending.forEach(show);
	};

	// What is stored belongs to one signed-in user, or to anybody here; another user starts afresh.
	const scope = (jwt) => {
		const claims = jwt && parsed(atob(jwt.split(".")[1]?.replace(/-/g, "+").replace(/_/g, "/") || ""));
		const mine = prefix + (jwt ? claims?.sub + ":" : "");
		if (mine === self.store?.prefix) return;
		if (self.store) {
			pending.clear();
			self.used = false;
			reset();
		}
		self.store = storage(mine);
		signed = !!jwt;
		token = self.store.get("token");
		self.used ||= !!self.store.get("used");
		for (const message of self.store.waiting().sort((a, b) => a.at_ms - b.at_ms)) pending.set(message.id, message);
		pending.forEach(keep);
	};

	const remember = () => {
		if (!self.store) return;
		self.store.set("used", 1);
		storage(prefix).set("used", 1);
		if (token && !signed) self.store.set("token", token);
	};

	const show = (message) => listener("+pending", message);
	const keep = (message) => {
		self.store?.set("out:" + message.id, JSON.stringify(message));
		show(message);
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
			if (code === "busy" || code === "too_fast") setTimeout(transmit, retry_after_s * 1000, message);
			else fail(message, detail);
		}
		listener(type, frame);
		const seqs = (type === "welcome" ? frame.history : type === "message" ? [frame] : []).map(({ seq }) => seq);
		if (!seqs.length) return;
		after = Math.max(after || 0, ...seqs);
		send({ type: "received", seq: after }, false);
	};

	const welcome = (frame) => {
		if (conversation && conversation !== frame.conversation) reset();
		({ token, conversation } = frame);
		if (self.used) remember();
		attempt = 0;
		become("online");
		pending.forEach((message) => message.error || transmit(message));
		later.splice(0).forEach((frame) => send(frame));
	};

	const transmit = (message) => {
		const { id, text, attachments } = message;
		if (self.state !== "online" || !pending.has(id)) return;
		send({ type: "message", id, text, ...(attachments.length && { attachments: attachments.map((file) => file.id) }) });
		const own = round;
		setTimeout(() => own === round && pending.has(id) && !message.error && lost(), ACK_MS); // dead, and nobody said so
	};

	const fail = (message, detail) => {
		message.error = detail || " ";
		keep(message);
	};

	const say = (text, attachments) => {
		const message = { id: uuid(), text, attachments, at_ms: Date.now() };
		self.used = true;
		remember();
		retry(message);
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
		self.store?.remove("out:" + id);
	};

	// Without a session a frame waits, or is dropped where it need not arrive.
	const send = (frame, must = true) => {
		if (self.state === "online") socket.send(JSON.stringify(frame));
		else if (must) later.push(frame);
	};

	const transfer = (path, request, headers) => fetched(base + "upload" + path, { ...request, headers: { ...headers, Authorization: "Bearer " + token } });
	const upload = async (body) => (await transfer("", { method: "POST", body }, { "X-File-Name": encodeURIComponent(body.name) })).json();
	const blob = async (id) => (await transfer("/" + encodeURIComponent(id))).blob();

	const again = () => self.state === "waiting" && begin();

	addEventListener("online", again);
	addEventListener("offline", () => self.state === "online" && lost());
	document.addEventListener("visibilitychange", () => document.hidden || again());
	addEventListener("storage", ({ key, newValue }) => {
		if (key !== self.store?.prefix + "token" || !newValue || signed || self.used) return;
		reset(); // another page of this visitor spoke first: join it
		token = newValue;
		self.used = true;
		lost();
	});

	const self = { state: "idle", pending, connect: begin, again, say, retry, forget, send, upload, blob };
	return self;
};
