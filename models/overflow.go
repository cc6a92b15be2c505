package models

// Overflow says what becomes of a subscription's messages when they come faster than
// the client takes them.
type Overflow string

// The overflow policies.
const (
	// OverflowDisconnect keeps every message; a client whose outbox is full is closed
	// with CloseSlowConsumer.
	OverflowDisconnect Overflow = "disconnect"
	// OverflowDropOldest drops the oldest messages when the outbox is full.
	OverflowDropOldest Overflow = "drop_oldest"
	// OverflowLatest keeps the newest unsent message of each topic, and drops as
	// OverflowDropOldest does when the outbox is full all the same.
	OverflowLatest Overflow = "latest"
)

// ParseOverflow reads a policy's name; empty is OverflowDisconnect. Its error has
// CodeInvalidRequest.
func ParseOverflow(text string) (Overflow, error) {
	switch o := Overflow(text); o {
	case "":
		return OverflowDisconnect, nil
	case OverflowDisconnect, OverflowDropOldest, OverflowLatest:
		return o, nil
	default:
		return "", Errorf(CodeInvalidRequest, "overflow is disconnect, drop_oldest or latest")
	}
}

// SubscribeOptions are a subscription's options. To subscribe again replaces them.
type SubscribeOptions struct {
	// Overflow is OverflowDisconnect if empty.
	Overflow Overflow
	// Start is where the subscription begins. Without a replay it is the present.
	Start Start
	// Presence asks for the members of the topics, and who joins and leaves.
	Presence bool
}
