package models

// CloseCode is why a connection ends (RFC 6455, section 7.4). 1001 and 4000 to 4499:
// come back and resume. 4500 to 4999: do not.
type CloseCode uint16

// The close codes.
const (
	CloseNormal        CloseCode = 1000
	CloseGoingAway     CloseCode = 1001
	CloseProtocolError CloseCode = 1002
	// CloseAbnormal is a peer that left without a word. It is never sent.
	CloseAbnormal     CloseCode = 1006
	CloseInvalidUTF8  CloseCode = 1007
	CloseTooBig       CloseCode = 1009
	CloseInternal     CloseCode = 1011
	CloseSlowConsumer CloseCode = 4001
	ClosePingTimeout  CloseCode = 4002
	CloseTokenExpired CloseCode = 4003
	CloseUnauthorized CloseCode = 4500
	CloseDisconnected CloseCode = 4501
)

// String is the reason in a few words, for the close frame and for logs.
func (c CloseCode) String() string {
	switch c {
	case CloseNormal:
		return "bye"
	case CloseGoingAway:
		return "server going away"
	case CloseProtocolError:
		return "protocol error"
	case CloseAbnormal:
		return "connection lost"
	case CloseInvalidUTF8:
		return "invalid UTF-8"
	case CloseTooBig:
		return "frame too big"
	case CloseInternal:
		return "internal error"
	case CloseSlowConsumer:
		return "slow consumer"
	case ClosePingTimeout:
		return "ping timeout"
	case CloseTokenExpired:
		return "token expired"
	case CloseUnauthorized:
		return "unauthorized"
	case CloseDisconnected:
		return "disconnected by an administrator"
	default:
		return "closed"
	}
}
