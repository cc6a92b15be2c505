// The types of client.js: what an application sees of it. README.md is the guide.

/** Connects to a server, in the background, and stays connected until close() or until the server says not to come back. */
export function connect(options?: Options): Client;
/** url: of the server, http:, https:, ws: or wss:. Default: the page's origin. Throws unsupported if no transport can be had. */
export function connect(url: string | URL | undefined, options?: Options): Client;

export interface Options {
  /** A token or an API key; or a function that gets one, which is called for each that is needed. */
  token?: string | (() => string | Promise<string>);
  /** Which transports to use, and in which order they are tried. Default: ['websocket', 'sse']. */
  transports?: Transport[];
  /** The WebSocket class, where there is none (Node 20 and 21): that of the package ws, for example. */
  WebSocket?: unknown;
  /** How to read the JSON text of frames. Default: JSON.parse. It must give what that gives, for all but `data`. */
  parse?: (text: string) => unknown;
}

export type Transport = 'websocket' | 'sse';

/** state: 'connecting' until there is a connection, 'connected', 'waiting' for the next attempt, or 'closed' for good. */
export type State = 'connecting' | 'connected' | 'waiting' | 'closed';

export class Client extends EventTarget {
  readonly state: State;
  /** The UUID of the present connection; undefined without one, and over SSE. */
  readonly id: string | undefined;

  /** Throws conflict if another subscription has one of the patterns, closed if the client has ended. What the server refuses ends it. */
  subscribe<T = unknown>(topics: string | string[], options?: SubscribeOptions<T>): Subscription<T>;
  /** Resolves when the message is in the log. */
  publish(topic: string, data: unknown, options?: PublishOptions): Promise<Receipt>;
  /** Who is subscribed to that very topic. */
  presence(topic: string): Promise<Member[]>;
  /** Ends all subscriptions and the connection. */
  close(): void;

  addEventListener<K extends keyof ClientEvents>(type: K, listener: (event: CustomEvent<ClientEvents[K]>) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof ClientEvents>(type: K, listener: (event: CustomEvent<ClientEvents[K]>) => void, options?: boolean | EventListenerOptions): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

/** The events of a client, and the `detail` of each. */
export interface ClientEvents {
  connecting: { attempt: number };
  connected: { id?: string; transport: Transport };
  /** The next attempt is in `retryIn` milliseconds. */
  disconnected: { code: number; reason: string; retryIn: number };
  /** Something is lost in a subscription: as its onLost. */
  lost: Lost & { subscription: Subscription };
  /** It is over; `error` is absent after close(). */
  closed: { error?: FanfareError };
}

export interface SubscribeOptions<T = unknown> {
  /** Begin behind the message with this id, or with 'all' that is retained. */
  since?: string;
  /** Begin with the last so many messages, 1 to 10,000; not with since. */
  last?: number;
  /** What becomes of messages for a reader that does not keep up. Default: 'disconnect', which loses nothing. */
  overflow?: 'disconnect' | 'drop_oldest' | 'latest';
  /** How many messages may wait for the reader. Default: 1,000. */
  buffer?: number;
  /** Have the members of the topics, and who joins and leaves, told to onPresence. Not over SSE. Who rests, unread, is not there meanwhile. */
  presence?: boolean;
  /** Ends the subscription. */
  signal?: AbortSignal;

  /** Is called for each message; then there is nothing to iterate over. */
  onMessage?: (message: Message<T>) => void;
  /** Messages are missing between the one before and the one after. Who shows a state loads it anew. */
  onLost?: (lost: Lost) => void;
  /** Messages were dropped, by overflow: of that pattern. */
  onDropped?: (dropped: { topic: string; count: number }) => void;
  onPresence?: (event: PresenceEvent) => void;
  /** What since or last asked for has been given: from here on it is live. */
  onCaughtUp?: () => void;
  /** It has ended; with an error if nobody asked for that. */
  onEnd?: (error?: FanfareError) => void;
}

/** A subscription: iterate over it, or give onMessage. To leave the loop unsubscribes. Its loop throws if it ends with an error. */
export interface Subscription<T = unknown> extends AsyncIterable<Message<T>> {
  readonly topics: string[];
  /** The id to come back with, as since: nothing up to it is missing, and nothing after it was given. Undefined until it is acknowledged. */
  readonly cursor: string | undefined;
  /** Resolves when the server has acknowledged it for the first time; rejects if it ends before. */
  readonly ready: Promise<void>;
  /** Nothing is given any more from now on. */
  unsubscribe(): void;
}

export interface Message<T = unknown> {
  id: string;
  topic: string;
  data: T;
  /** When it was published: RFC 3339. */
  time: string;
  /** The authenticated publisher. */
  from?: string;
  /** Then data is base64 and stands for bytes. */
  encoding?: 'base64';
  /** The Trace Context (W3C) of who published it. */
  traceparent?: string;
  tracestate?: string;
  /** The attributes of a CloudEvent, if it was published as one. */
  event?: CloudEventAttributes;
}

/** What a CloudEvent consists of beside its data. */
export interface CloudEventAttributes {
  specversion: '1.0';
  id: string;
  source: string;
  type: string;
  [attribute: string]: string | number | boolean;
}

export interface Lost {
  topics: string[];
  /** 'resume': the log did not reach back to the cursor. 'gap': it was removed before it could be sent. */
  reason: 'resume' | 'gap';
}

export interface PublishOptions {
  /** The idempotency key. Default: a new one, so that what is sent again is published once. */
  key?: string;
  /** How long to wait for the server, over all reconnects, in milliseconds. Default: 30,000. */
  timeout?: number;
  signal?: AbortSignal;
}

export interface Receipt {
  id: string;
  topic: string;
  /** The key was used before, and this is the message of then. */
  duplicate: boolean;
}

export interface Member {
  client_id: string;
  user?: string;
}

export type PresenceEvent =
  | { type: 'presence'; topic: string; clients: Member[] }
  | ({ type: 'join' | 'leave'; topic: string } & Member);

/** An error of the server, with its code; or 'timeout', 'conflict', 'closed', 'disconnected', 'unsupported', 'invalid_json' of the client's own. */
export class FanfareError extends Error {
  readonly code: string;
}
