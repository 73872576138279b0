// The socket that tells what has changed. When it comes back, the page reads everything again: nothing is kept for who was away.
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 20_000;

export const connect = (listener) => {
	let attempt = 0;
	let socket, timer;
	let isOver = false;

	const begin = () => {
		clearTimeout(timer);
		const own = new WebSocket(location.origin.replace("http", "ws") + "/console/ws");
		socket = own;
		own.onopen = () => {
			attempt = 0;
			listener("+online");
		};
		own.onmessage = ({ data }) => own === socket && receive(data);
		own.onclose = ({ code }) => own === socket && lost(code);
	};
	const receive = (data) => {
		let frame;
		try {
			frame = JSON.parse(data);
		} catch {
			return;
		}
		if (frame && typeof frame === "object") listener(frame.type, frame);
	};
	const lost = (code) => {
		socket = undefined;
		if (isOver) return;
		listener("+offline");
		if (code === 4401) return listener("+out");
		const wait = 50 + Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempt++);
		timer = setTimeout(begin, wait);
	};
	const again = () => {
		if (!isOver && socket?.readyState !== WebSocket.OPEN && socket?.readyState !== WebSocket.CONNECTING) begin();
	};
	addEventListener("online", again);
	begin();
	return {
		again,
		send: (type, fields) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ type, ...fields })),
		end: () => {
			isOver = true;
			clearTimeout(timer);
			removeEventListener("online", again);
			socket?.close();
		},
	};
};
