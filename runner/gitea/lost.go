package gitea

import (
	"errors"
	"net"
)

// IsReplyLost reports whether err leaves open what became of the call: the request
// may have reached the server, and its answer has not come. An error that the
// server, or something before it, answered with is none, nor is a connection that
// was never made.
func IsReplyLost(err error) bool {
	e, ok := as(err)
	if !ok || e.said {
		return false
	}
	if answer := (*AnswerError)(nil); errors.As(err, &answer) {
		return false
	}
	var op *net.OpError
	var dns *net.DNSError
	return (!errors.As(err, &op) || op.Op != "dial") && !errors.As(err, &dns)
}
