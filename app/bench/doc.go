// Package bench measures a Fanfare from outside, by HTTP and WebSocket, beside floor
// programs that do the least that the same work can cost: so a figure is a ratio from one
// run on one machine.
//
// Three processes take part. The load is the command itself: it connects, publishes,
// reads and checks. The server and the floor are children of it, in hidden subcommands of
// the same binary; orders go to them on their standard input, and their answers are in
// the format of /metrics. What is lost, repeated or out of order ends the run.
package bench
