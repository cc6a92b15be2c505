// Package natsengine keeps the log in a JetStream stream, of a NATS server in this process or of a
// cluster, and moves messages between the nodes that share it. It is the only importer of NATS.
//
// # Subjects
//
// A topic a.b is the subject fanfare.a.b: the prefix and the topic as it is. Every topic is a legal
// subject, since it has no white space, no control character, no empty token and no wildcard, and a
// pattern's wildcards are those of NATS. A subject that is no topic behind the prefix is stored, and no
// node delivers it.
//
// Beside the topics the stream has subjects of its own, with -log behind the prefix:
//
//	fanfare-log.anchor.<n>     see below
//	fanfare-log.purge.<topic>  that a topic was purged: {"last": <sequence>}
//	fanfare-log.probe          nothing: whoever sent it wanted to know its place
//
// An id's sequence is the stream's, so they have places, too; its epoch is in the stream's metadata.
//
// # Messages
//
// The payload is the JSON text of the data, or, with the header Fanfare-Encoding: base64, the bytes
// that the data are the base64 of. What a node publishes has two headers more: Fanfare-From, the name
// of the publisher, percent-encoded, if there is one; and Fanfare-Stamp, the time and a keyed hash of
// everything (stamp.go). What comes without a good stamp is from somebody else: its data are JSON if
// they are valid JSON, else text if they are UTF-8, else base64; it has the stream's time and no from.
//
// Attributes are headers, too (event.go): traceparent, tracestate, and a CloudEvent in the binary mode of its NATS binding. The
// payload of an event that is a text is that text (Fanfare-Encoding: text), and of one without data it is empty. Fanfare-Literals
// names the attributes that are no text. Others' CloudEvents may come in structured mode as well.
//
// # What was removed
//
// JetStream forgets what it has removed. Whether something that matched was lost after a place is
// found out from what is left (lost.go):
//
//   - Whatever is below the stream's first sequence is gone, whoever asks. So that this only grows by
//     age and by size, and not because the oldest messages were of a busy topic with too many, the nodes
//     publish an anchor now and then, each on a subject of its own.
//   - A topic that has as many messages as it may have is taken to have lost some just before the first of
//     them.
//   - A purge has left its mark.
//
// What somebody else removes, with a NATS client, is not told, unless it is the whole stream.
//
// # The server in this process
//
// The store is a directory of one process (store.go). After the machine has stopped unawares a new epoch begins,
// unless everything that was answered was on the disk. While the disk is full, or nothing can be written to it,
// publishes are refused (guard.go), since JetStream does not get over a write that fails; when it can be written to
// again, JetStream is opened again. Other NATS clients are in an account of their own, which has topics and nothing
// else (server.go).
package natsengine
