// Package broker decides: it gives every message its place, knows the clients and
// what they are subscribed to, and delivers.
//
// A message's way: PubSub.Publish hands a draft to the Engine, which gives it its
// place in the log and calls the dispatcher with it. The dispatcher counts who is
// interested and puts the message into the queue of every shard that has an
// interested client. Each shard, one goroutine, takes its queue in order, appends the
// message's ready-made frame to the outbox of each matching client and then flushes
// the outboxes that have something, in rounds.
//
// A subscribe goes through the same queue: the dispatcher has counted the interest when
// it reads the position and queues the change under the one lock that also gives
// messages their order. So it lies between two messages, exactly, and nothing has to be
// compared afterwards.
//
// In a cluster a node asks the others for what is theirs of a list, and merges the parts. While
// somebody watches who joins and leaves, it has a neighbor for each of the others, one goroutine,
// that asks to be told and passes on what comes; the audience is the other way round: the nodes
// that are told of what happens here.
//
// Locks are taken in this order, and nothing blocks, logs or calls out under them:
// the engine's own or Client.mu, then dispatcher.mu or presence.mu, then any one of
// directory.mu, queue.mu, delivery.mu, budget.mu and node.mu. PubSub.mu is taken alone. What a shard
// owns has no lock.
package broker
